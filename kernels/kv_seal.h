/*
 * kv_seal.h - one full page from an unquantized format to another: quantizes
 * (int8, int4) or copies (same format). Only full pages of accepted tokens are
 * sealed, once, so a scale always comes from all PAGE_TOKENS tokens.
 */
#ifndef KERNELS_KV_SEAL_H
#define KERNELS_KV_SEAL_H

#include "kernels/kv_format.h"

struct device;

struct kv_seal_args {
    void *const *out;                      /* [n_pages] pages of to_format */
    const void *const *in;                 /* [n_pages] pages of from_format */
    enum kv_format from_format, to_format; /* from: KV_F32 or KV_F16 */
    struct kv_shape shape;
    int n_pages;
    /* NULL, or host memory [2]: the sum over all elements of (x - sealed x)^2 is
     * added to [0], that of x^2 to [1]. */
    double *k_error, *v_error;
};

void kv_seal_ref(const struct kv_seal_args *a);
enum status kv_seal_cpu(struct device *dev, const struct kv_seal_args *a, struct err *err);

#endif
