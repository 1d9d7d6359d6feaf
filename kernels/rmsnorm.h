/*
 * rmsnorm.h - out[r][c] = in[r][c] / rms(in[r]) * weight[c]
 *             rms(x) = sqrt(mean(x*x) + eps)
 *
 * Used before attention, before the MLP, once at the end of the model, and per
 * head where a model normalizes q and k.
 */
#ifndef KERNELS_RMSNORM_H
#define KERNELS_RMSNORM_H

#include "common/status.h"
#include "kernels/matmul.h"

struct rmsnorm_args {
    float *out;         /* [n_rows, n_cols]; may be `in` */
    const float *in;    /* [n_rows, n_cols] */
    const void *weight; /* [n_cols] of `type`, any alignment */
    enum weight_type type;
    int n_rows; /* 0 is allowed and does nothing */
    int n_cols; /* > 0; any value, not only powers of two */
    float eps;  /* > 0 */
};

void rmsnorm_ref(const struct rmsnorm_args *a);
enum status rmsnorm_cpu(struct device *dev, const struct rmsnorm_args *a, struct err *err);

#endif
