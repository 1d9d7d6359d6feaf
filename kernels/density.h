/*
 * density.h - from logits to the law that is really sampled from.
 *
 *   p = softmax(logits / temperature), cut to the smallest set of most probable
 *   tokens whose mass reaches top_p (ties by lower id; the token that crosses is
 *   in), renormalized. temperature 0: all mass on the argmax (lowest id).
 * Pure functions on host memory.
 */
#ifndef KERNELS_DENSITY_H
#define KERNELS_DENSITY_H

#include <stdint.h>

#include "common/status.h"

struct density_params {
    double temperature; /* >= 0 */
    double top_p;       /* (0, 1] */
};

/* ST_INVALID names what is out of range. */
enum status density_params_check(const struct density_params *params, struct err *err);

/* p[n_vocab] from logits[n_vocab]; `scratch` holds n_vocab uint32. Sums to 1
 * within 1e-6. ST_CORRUPT when a logit is NaN or all are -infinity. */
enum status density_from_logits(float *p, const float *logits, uint32_t n_vocab,
                                const struct density_params *params, uint32_t *scratch,
                                struct err *err);

/* Index of the largest, lowest on ties. */
int32_t density_argmax(const float *x, uint32_t n);

/* Inverse of the cumulative sum in id order: the token that u in [0, 1) falls
 * on; never one of zero probability. */
int32_t density_pick(const float *p, uint32_t n_vocab, double u);

/* argmax over p > 0 of log p + Gumbel noise of (seed, pos, token). */
int32_t density_gumbel(const float *p, uint32_t n_vocab, uint64_t seed, uint64_t pos);

#endif
