/*
 * kv_layout.h - where element (token t, dimension d) of one head lies in its
 * section of a page: kv_format.h's table as index arithmetic. For files in
 * kernels/ only.
 */
#ifndef KERNELS_KV_LAYOUT_H
#define KERNELS_KV_LAYOUT_H

#include "kernels/kv_format.h"

enum { KV_PANEL_TOKENS = 8, KV_PAGE_PANELS = PAGE_TOKENS / KV_PANEL_TOKENS };

/* f32 and f16: index in elements, from the start of K (of V). */
static inline size_t kv_layout_k(uint32_t head_dim, uint32_t t, uint32_t d)
{
    return ((size_t)(t / 8) * head_dim + d) * 8 + t % 8;
}

static inline size_t kv_layout_v(uint32_t head_dim, uint32_t t, uint32_t d)
{
    return (size_t)t * head_dim + d;
}

/* int8: index in bytes. */
static inline size_t kv_layout_k8(uint32_t head_dim, uint32_t t, uint32_t d)
{
    return (((size_t)(t / 8) * (head_dim / 2) + d / 2) * 8 + t % 8) * 2 + d % 2;
}

static inline size_t kv_layout_v8(uint32_t head_dim, uint32_t t, uint32_t d)
{
    return ((size_t)(t / 2) * head_dim + d) * 2 + t % 2;
}

/* int4: index in bytes, and the shift (0 or 4) of the nibble in it. */
static inline size_t kv_layout_k4(uint32_t head_dim, uint32_t t, uint32_t d)
{
    return (((size_t)(t / 16) * (head_dim / 2) + d / 2) * 8 + t % 8) * 2 + d % 2;
}

static inline unsigned kv_layout_k4_shift(uint32_t t)
{
    return (t / 8) % 2 * 4;
}

static inline size_t kv_layout_v4(uint32_t head_dim, uint32_t t, uint32_t d)
{
    return ((size_t)(t / 4) * head_dim + d) * 2 + t % 2;
}

static inline unsigned kv_layout_v4_shift(uint32_t t)
{
    return (t / 2) % 2 * 4;
}

/* Scales of a quantized K: [head_dim]; int4 has [head_dim] minima behind them. */
static inline size_t kv_layout_k_scales(enum kv_format format, uint32_t head_dim)
{
    return (size_t)PAGE_TOKENS * head_dim / (format == KV_INT4 ? 2 : 1);
}

/* Scales of a quantized V, from the start of V: [PAGE_TOKENS], then minima. */
static inline size_t kv_layout_v_scales(enum kv_format format, uint32_t head_dim)
{
    return kv_layout_k_scales(format, head_dim);
}

/* One KV head's section of a page. */
static inline const void *kv_layout_head(const void *page, enum kv_format format,
                                         struct kv_shape shape, uint32_t head)
{
    return (const char *)page + head * kv_head_bytes(format, shape.head_dim);
}

static inline void *kv_layout_head_mut(void *page, enum kv_format format, struct kv_shape shape,
                                       uint32_t head)
{
    return (char *)page + head * kv_head_bytes(format, shape.head_dim);
}

#endif
