/*
 * matmul.h - out[r][o] = sum_i x[r][i] * w[o][i] (+ bias[o]) (+ out[r][o] before)
 *
 * One kernel for 1 row and for a prefill chunk. A row's result does not depend
 * on the number of rows or threads: every element is summed over i in the same
 * order (8 interleaved partial sums, folded in a fixed tree). Weights are read
 * where the checkpoint is mapped, once for all rows.
 */
#ifndef KERNELS_MATMUL_H
#define KERNELS_MATMUL_H

#include "common/status.h"

struct device;

enum weight_type { WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16 };

struct matmul_args {
    float *out;        /* [n_rows, n_out]; must not overlap x */
    const float *x;    /* [n_rows, n_in] */
    const void *w;     /* [n_out, n_in] row-major, of `type`; any alignment */
    const float *bias; /* [n_out] or NULL */
    enum weight_type type;
    int n_rows, n_in, n_out; /* n_rows 0 does nothing */
    bool accumulate;         /* add to what `out` holds */
};

void matmul_ref(const struct matmul_args *a);
enum status matmul_cpu(struct device *dev, const struct matmul_args *a, struct err *err);

#endif
