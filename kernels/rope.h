/*
 * rope.h - rotate-half RoPE on rows of heads, in place:
 *   x[i], x[i + D/2] = x[i] cos - x[i + D/2] sin, x[i + D/2] cos + x[i] sin
 * with cos and sin of the row's position, i < D/2 (the HF layout).
 */
#ifndef KERNELS_ROPE_H
#define KERNELS_ROPE_H

#include <stdint.h>

#include "common/status.h"

struct device;

struct rope_args {
    float *x;            /* [n_rows, n_heads, head_dim] */
    const float *cos;    /* [positions, head_dim / 2] */
    const float *sin;    /* the same */
    const uint32_t *pos; /* [n_rows], host memory, below the table's length */
    int n_rows, n_heads, head_dim;
};

void rope_ref(const struct rope_args *a);
enum status rope_cpu(struct device *dev, const struct rope_args *a, struct err *err);

#endif
