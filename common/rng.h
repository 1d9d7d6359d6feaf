/*
 * rng.h - counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11).
 *
 * A number is a pure function of (seed, stream, position, index), so a seed
 * means the same in every method and process, and no draw disturbs another.
 */
#ifndef COMMON_RNG_H
#define COMMON_RNG_H

#include <stdint.h>

/* Streams are independent; the numbers are part of what a seed means, so
 * append only. */
enum rng_stream {
    RNG_TARGET = 0,          /* the target's own sample, baseline and bonus */
    RNG_DRAFT = 1,           /* the small draft's proposal */
    RNG_MIDDLE_ACCEPT = 2,   /* middle level: accept test */
    RNG_MIDDLE_RESIDUAL = 3, /* middle level: residual, and its own bonus */
    RNG_VERIFY_ACCEPT = 4,   /* target: accept test */
    RNG_VERIFY_RESIDUAL = 5, /* target: residual */
    RNG_GUMBEL = 6,          /* coupled: noise per (position, token id) */
    RNG_TEST = 7,
    RNG_WEIGHTS = 8, /* random weights of `mspeckv synth` */
    RNG_REPLAY = 9   /* replayed acceptance: how many proposals stand */
};

struct rng_block {
    uint32_t word[4];
};

/* Ten rounds on counter (c0..c3) under key (k0, k1). */
struct rng_block rng_philox(const uint32_t counter[4], const uint32_t key[2]);

/* Uniform in [0, 1), 53 bits. `pos` is the absolute position of the token that
 * the number decides; `index` separates draws at one position. */
double rng_uniform(uint64_t seed, enum rng_stream stream, uint64_t pos, uint32_t index);

/* -log(-log(u)) with u in (0, 1) drawn from (seed, pos, token). */
double rng_gumbel(uint64_t seed, uint64_t pos, uint32_t token);

#endif
