/*
 * kv_write.h - puts rows of K and V into unquantized pages (the tail, prefill
 * pages, the retrieval KV's recent region), rounding to the page's format.
 */
#ifndef KERNELS_KV_WRITE_H
#define KERNELS_KV_WRITE_H

#include "kernels/kv_format.h"

struct device;

struct kv_write_args {
    void *const *page;     /* [n_pages], device memory; those that slots name are not NULL */
    enum kv_format format; /* KV_F32 or KV_F16 */
    struct kv_shape shape;
    const float *k;       /* [n_rows, n_kv_heads, head_dim], rotated */
    const float *v;       /* the same */
    const uint32_t *slot; /* [n_rows], host memory: page slot / PAGE_TOKENS, token in it */
    int n_rows;
};

void kv_write_ref(const struct kv_write_args *a);
enum status kv_write_cpu(struct device *dev, const struct kv_write_args *a, struct err *err);

#endif
