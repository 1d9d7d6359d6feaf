/*
 * swiglu.h - out[r][c] = silu(gate[r][c]) * up[r][c], silu(x) = x / (1 + exp(-x))
 */
#ifndef KERNELS_SWIGLU_H
#define KERNELS_SWIGLU_H

#include "common/status.h"

struct device;

struct swiglu_args {
    float *out; /* [n_rows, n_cols]; may be gate */
    const float *gate, *up;
    int n_rows, n_cols;
};

void swiglu_ref(const struct swiglu_args *a);
enum status swiglu_cpu(struct device *dev, const struct swiglu_args *a, struct err *err);

#endif
