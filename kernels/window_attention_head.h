/*
 * window_attention_head.h - one row's one KV head of window attention, with all
 * query heads of its group. For files in kernels/ only.
 */
#ifndef KERNELS_WINDOW_ATTENTION_HEAD_H
#define KERNELS_WINDOW_ATTENTION_HEAD_H

#include <stddef.h>

#include "kernels/window_attention.h"

/* What the row at absolute position t sees: n tokens by in-cache position;
 * position i < n_sinks is slot i, others slot n_sinks_max + (ring + i - n_sinks)
 * modulo n_ring. */
struct window_attention_span {
    uint32_t n_sinks, ring, n;
};

static inline struct window_attention_span
window_attention_span(const struct window_attention_args *a, uint32_t t)
{
    struct window_attention_span span = {a->n_sinks, 0, a->n_sinks};

    if (t < a->n_sinks) {
        span.n_sinks = span.n = t + 1;
        return span;
    }
    uint32_t first = t - a->n_sinks >= a->n_window ? t - a->n_window + 1 : a->n_sinks;
    span.ring = (first - a->n_sinks) % a->n_ring;
    span.n += t - first + 1;
    return span;
}

static inline uint32_t window_attention_slot(const struct window_attention_args *a,
                                             const struct window_attention_span *span, uint32_t i)
{
    if (i < span->n_sinks)
        return i;
    uint32_t slot = span->ring + (i - span->n_sinks);
    return a->n_sinks + (slot < a->n_ring ? slot : slot - a->n_ring);
}

/* Floats of scratch for one head: rotated queries, one rotated key, scores
 * rounded up to whole vectors. */
static inline size_t window_attention_floats(const struct window_attention_args *a)
{
    size_t group = (size_t)(a->n_heads / a->n_kv_heads);
    return (group + 1) * (size_t)a->head_dim +
           group * (((size_t)a->n_sinks + a->n_window + 7) & ~(size_t)7);
}

void window_attention_head_portable(const struct window_attention_args *a, int row, int kv_head,
                                    float *scratch);
/* head_dim: a multiple of 16. */
void window_attention_head_avx2(const struct window_attention_args *a, int row, int kv_head,
                                float *scratch);

#endif
