#include "kernels/replay.h"

#include <math.h>

#include "common/rng.h"

/* Draws at one position: which level asks. */
enum { REPLAY_TARGET, REPLAY_MIDDLE };

uint32_t replay_accepted(double mean, uint64_t seed, uint64_t base_pos, uint32_t n_proposed)
{
    double whole = floor(mean), u = rng_uniform(seed, RNG_REPLAY, base_pos, REPLAY_TARGET);

    if (!(mean < n_proposed))
        return n_proposed;
    return (uint32_t)whole + (u < mean - whole ? 1 : 0);
}

bool replay_accepts(double rate, uint64_t seed, uint64_t pos)
{
    return rng_uniform(seed, RNG_REPLAY, pos, REPLAY_MIDDLE) < rate;
}
