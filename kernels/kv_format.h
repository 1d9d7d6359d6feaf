/*
 * kv_format.h - what the bytes of one KV page are.
 *
 * A page is PAGE_TOKENS tokens of one layer: for each KV head its K section,
 * then its V section, all heads one after the other. The bytes are arranged
 * for the attention kernels; KV_LAYOUT_ID stands in page headers and HELLO, and
 * every layout has golden bytes (FORMATS.md, "KV page").
 *
 * Element (token t, dimension d) of one head, head_dim D:
 *   f32, f16  K  at [t / 8][d][t % 8]     a register holds one d of 8 tokens
 *             V  at [t][d]
 *   int8      K  at [t / 8][d / 2][t % 8][d % 2], then D scales (f32)
 *             V  at [t / 2][d][t % 2], then PAGE_TOKENS scales (f32)
 *   int4      as int8, two panels share a byte: K panel 2i in the low and panel
 *             2i + 1 in the high nibble (panel = t / 8); V token pair 2i low,
 *             2i + 1 high (pair = t / 2); then scales and minima (f32 each)
 *   int8 x = scale * q, q in [-127, 127]; int4 x = scale * q + min, q in [0, 15];
 *   K has one scale per dimension over the page's tokens, V one per token over
 *   head_dim. Scale 0 means that the whole channel equals min (0 for int8).
 *
 * The store includes this header for the numbers only; to it the content is
 * opaque.
 */
#ifndef KERNELS_KV_FORMAT_H
#define KERNELS_KV_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

enum { PAGE_TOKENS = 128, KV_LAYOUT_ID = 1, KV_MAX_HEAD_DIM = 256 };

/* Append only: the numbers travel in messages and stand in page headers. */
enum kv_format { KV_F32 = 0, KV_F16 = 1, KV_INT8 = 2, KV_INT4 = 3 };
enum { KV_FORMAT_COUNT = 4 };

struct kv_shape {
    uint32_t n_kv_heads;
    uint32_t head_dim; /* multiple of 8, at most KV_MAX_HEAD_DIM */
};

static inline int kv_format_is_quantized(enum kv_format format)
{
    return format == KV_INT8 || format == KV_INT4;
}

/* Bytes of K (or V) of one head in a page, scales included. */
static inline size_t kv_k_bytes(enum kv_format format, uint32_t head_dim)
{
    size_t n = (size_t)PAGE_TOKENS * head_dim;
    switch (format) {
    case KV_F32:
        return n * 4;
    case KV_F16:
        return n * 2;
    case KV_INT8:
        return n + (size_t)head_dim * 4;
    case KV_INT4:
        return n / 2 + (size_t)head_dim * 8;
    }
    return 0;
}

static inline size_t kv_v_bytes(enum kv_format format, uint32_t head_dim)
{
    size_t n = (size_t)PAGE_TOKENS * head_dim;
    switch (format) {
    case KV_F32:
        return n * 4;
    case KV_F16:
        return n * 2;
    case KV_INT8:
        return n + (size_t)PAGE_TOKENS * 4;
    case KV_INT4:
        return n / 2 + (size_t)PAGE_TOKENS * 8;
    }
    return 0;
}

static inline size_t kv_head_bytes(enum kv_format format, uint32_t head_dim)
{
    return kv_k_bytes(format, head_dim) + kv_v_bytes(format, head_dim);
}

/* Rounded up to a multiple of 64. */
static inline size_t kv_page_bytes(enum kv_format format, struct kv_shape shape)
{
    return (kv_head_bytes(format, shape.head_dim) * shape.n_kv_heads + 63) / 64 * 64;
}

/* A format is a table of functions. All work on one head's section of a page
 * in host memory; rows are f32. The plain definition, used by references,
 * tests and slow paths; kernels read pages themselves. */
struct kv_format_ops {
    const char *name; /* "f32", "f16", "int8", "int4" */
    /* Token t's row, [head_dim]. */
    void (*get_k)(const void *head, uint32_t head_dim, uint32_t t, float *row);
    void (*get_v)(const void *head, uint32_t head_dim, uint32_t t, float *row);
    /* One token in place; NULL for quantized formats, which are sealed whole. */
    void (*put_k)(void *head, uint32_t head_dim, uint32_t t, const float *row);
    void (*put_v)(void *head, uint32_t head_dim, uint32_t t, const float *row);
    /* A full head section from PAGE_TOKENS rows of K and of V. */
    void (*seal)(void *head, uint32_t head_dim, const float *k_rows, const float *v_rows);
};

/* NULL for a number that is not a format. */
const struct kv_format_ops *kv_format_ops(enum kv_format format);
/* "f32|f16|int8|int4"; ST_NOT_FOUND names them. */
enum status kv_format_parse(const char *name, enum kv_format *out, struct err *err);

#endif
