/*
 * attention.h - out[r][h] = softmax(scale * q[r][h] . K[first..limit)) V[first..limit)
 *
 * limit = limit[r]; first is 0, or limit - window where a window is shorter than the limit.
 *
 * Reads a mixed-format view with fused dequantization; every KV byte is read
 * once for all rows of the call. Used by prefill, decode, the middle level and
 * verification alike.
 *
 * Order of reduction: pages are grouped into splits of ATTENTION_SPLIT_PAGES
 * pages by absolute page index; within a split pages are folded in order
 * (running maximum and sum), splits are merged in order. So a row's result
 * depends neither on the other rows nor on threads: it is the same bits in a
 * call of 1 row as in one of 512.
 * Quantized pages: q * K-scale (and p * V-scale) is rounded to 16 bits per row
 * and page, products are summed exactly in 32-bit integers. Relative error of
 * that rounding: 2^-15 of the largest element. On CUDA: rounded to 22 bits in every format, sums
 * in f32; splits may be shorter, and the order holds for calls of up to 33 rows.
 */
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include "kernels/kv_view.h"

struct device;

enum { ATTENTION_SPLIT_PAGES = 8 };

struct attention_args {
    float *out;            /* [n_rows, n_heads, head_dim] */
    const float *q;        /* [n_rows, n_heads, head_dim], rotated */
    const uint32_t *limit; /* [n_rows], host memory; >= 1: the row sees tokens 0 .. limit-1 */
    int n_rows;            /* 0 is allowed and does nothing */
    int n_heads;           /* multiple of view->shape.n_kv_heads; head h reads KV head
                            * h / (n_heads / n_kv_heads) */
    float scale;           /* usually 1 / sqrt(head_dim) */
    const struct kv_view *view;
    uint32_t window; /* 0: none; else a row sees only the last `window` of its `limit` tokens.
                      * Pages wholly before every row's window are not read and may be missing */
};

/* First token that a row sees. */
static inline uint32_t attention_first(uint32_t limit, uint32_t window)
{
    return window > 0 && limit > window ? limit - window : 0;
}

/* What every device refuses, for n_rows > 0: ST_INVALID for a shape that no page has, a limit
 * outside the view, a page that a row sees and the view lacks. Tokens that some row sees lie in
 * [*earliest, *longest). */
enum status attention_check(const struct attention_args *a, uint32_t *earliest, uint32_t *longest,
                            struct err *err);

/* The definition: rows of kv_format_ops, sums in double. Host memory. */
void attention_ref(const struct attention_args *a);
enum status attention_cpu(struct device *dev, const struct attention_args *a, struct err *err);

#endif
