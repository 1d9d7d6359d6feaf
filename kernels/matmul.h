/*
 * matmul.h - out[r][o] = sum_i x[r][i] * w[o][i] (+ bias[o]) (+ out[r][o] before)
 *
 * One kernel for 1 row and for a prefill chunk. A row's result does not depend
 * on the number of rows or threads: every element is summed over i in the same
 * order (8 interleaved partial sums, folded in a fixed tree). Weights are read
 * where the checkpoint is mapped, once for all rows.
 *
 * Several weights on one x (q, k and v; gate and up) may be one operation. On the
 * CPU that gives the bits of one by one; on CUDA those may depend on which weights
 * go together, as they do on the sizes.
 */
#ifndef KERNELS_MATMUL_H
#define KERNELS_MATMUL_H

#include "common/status.h"

struct device;

enum weight_type { WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16 };

enum { MATMUL_WEIGHTS = 3 }; /* of one operation */

/* A further weight on the same x. */
struct matmul_also {
    float *out;        /* [n_rows, n_out]; overlaps neither x nor another out */
    const void *w;     /* [n_out, n_in] as the first */
    const float *bias; /* [n_out] or NULL */
    int n_out;
};

struct matmul_args {
    float *out;        /* [n_rows, n_out]; must not overlap x */
    const float *x;    /* [n_rows, n_in] */
    const void *w;     /* [n_out, n_in] row-major, of `type`; any alignment; no operation
                        * writes weights: they may be read before the one before has ended */
    const float *bias; /* [n_out] or NULL */
    enum weight_type type;
    int n_rows, n_in, n_out; /* n_rows 0 does nothing */
    bool accumulate;         /* add to what each `out` holds */
    struct matmul_also also[MATMUL_WEIGHTS - 1];
    int n_also; /* of them: 0 for a single weight */
};

/* The product of weight i alone: 0 is the first, then `also`. */
static inline struct matmul_args matmul_single(const struct matmul_args *a, int i)
{
    struct matmul_args one = *a;

    one.n_also = 0;
    if (i > 0) {
        one.out = a->also[i - 1].out;
        one.w = a->also[i - 1].w;
        one.bias = a->also[i - 1].bias;
        one.n_out = a->also[i - 1].n_out;
    }
    return one;
}

void matmul_ref(const struct matmul_args *a);
enum status matmul_cpu(struct device *dev, const struct matmul_args *a, struct err *err);

#endif
