#include "common/rng.h"

#include <math.h>

/* Multipliers and Weyl increments of Philox4x32, table 2 and section 4.3 of
 * the paper. */
#define PHILOX_M0 0xd2511f53u
#define PHILOX_M1 0xcd9e8d57u
#define PHILOX_W0 0x9e3779b9u
#define PHILOX_W1 0xbb67ae85u
enum { PHILOX_ROUNDS = 10 };

struct rng_block rng_philox(const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0;
        uint64_t p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    return (struct rng_block){{c0, c1, c2, c3}};
}

/* The key is the seed; the counter is (pos, index, stream). */
static uint64_t bits(uint64_t seed, enum rng_stream stream, uint64_t pos, uint32_t index)
{
    const uint32_t counter[4] = {(uint32_t)pos, (uint32_t)(pos >> 32), index, (uint32_t)stream};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    struct rng_block b = rng_philox(counter, key);

    return (uint64_t)b.word[0] << 32 | b.word[1];
}

double rng_uniform(uint64_t seed, enum rng_stream stream, uint64_t pos, uint32_t index)
{
    return (double)(bits(seed, stream, pos, index) >> 11) * 0x1p-53;
}

double rng_gumbel(uint64_t seed, uint64_t pos, uint32_t token)
{
    /* 52 bits and a half: both 0 and 1 are out of reach, and the sum is exact
     * (with 53 bits the largest would round to 1). */
    double u = ((double)(bits(seed, RNG_GUMBEL, pos, token) >> 12) + 0.5) * 0x1p-52;

    return -log(-log(u));
}
