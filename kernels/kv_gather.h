/*
 * kv_gather.h - copies chosen tokens of a view into unquantized pages: builds
 * the retrieval KV. Quantized sources are dequantized, then rounded.
 */
#ifndef KERNELS_KV_GATHER_H
#define KERNELS_KV_GATHER_H

#include "kernels/kv_view.h"

struct device;

struct kv_gather_args {
    void *const *page;     /* destination pages, slot / PAGE_TOKENS */
    enum kv_format format; /* KV_F32 or KV_F16 */
    const struct kv_view *view;
    uint32_t limit;        /* which form of a page is read: as a row with this limit */
    const uint32_t *token; /* [n_kv_heads, n_tokens], host memory: token -> slot i */
    int n_tokens;
    uint32_t first_slot; /* token[h][i] goes to slot first_slot + i */
};

void kv_gather_ref(const struct kv_gather_args *a);
enum status kv_gather_cpu(struct device *dev, const struct kv_gather_args *a, struct err *err);

#endif
