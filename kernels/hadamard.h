/*
 * hadamard.h - turns vectors by a normalised Walsh-Hadamard matrix, in place:
 *
 *   x = H (s * x),  H[i][j] = (-1)^popcount(i & j) / sqrt(B), i, j < B
 *
 * with one H for every block of B = hadamard_block(head_dim) elements and signs
 * s. H is symmetric and H H = I, so q . k stays what it was when both are
 * turned alike: only what is rounded afterwards differs.
 */
#ifndef KERNELS_HADAMARD_H
#define KERNELS_HADAMARD_H

#include <stdint.h>

#include "common/status.h"

struct device;

struct hadamard_args {
    float *x;          /* [n_vectors, head_dim] */
    const float *sign; /* [head_dim] of +1 and -1, or NULL: all +1 */
    int n_vectors;     /* 0 is allowed and does nothing */
    int head_dim;      /* a multiple of 8, at most KV_MAX_HEAD_DIM */
};

/* The largest power of two that divides head_dim: all of it, or blocks. */
static inline uint32_t hadamard_block(uint32_t head_dim)
{
    return head_dim & (0u - head_dim);
}

/* The definition: a matrix product with sums in double. */
void hadamard_ref(const struct hadamard_args *a);
/* A vector's bits do not depend on the others or on threads. */
enum status hadamard_cpu(struct device *dev, const struct hadamard_args *a, struct err *err);

#endif
