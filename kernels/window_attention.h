/*
 * window_attention.h - attention of the small draft over a StreamingLLM cache:
 * n_sinks first tokens and the newest n_window tokens, keys re-rotated to their
 * in-cache positions (Xiao et al., ICLR'24).
 *
 * The row at absolute position t sees the sinks s < min(n_sinks, t + 1) at
 * in-cache position s, and the tokens j in [max(n_sinks, t - n_window + 1), t] at
 * in-cache position n_sinks + j - max(n_sinks, t - n_window + 1); the query is
 * rotated to the in-cache position of its own token. Membership is a pure
 * function of t. K and V lie un-rotated in a ring: sink s in slot s, token
 * j >= n_sinks in slot n_sinks + (j - n_sinks) % n_ring.
 */
#ifndef KERNELS_WINDOW_ATTENTION_H
#define KERNELS_WINDOW_ATTENTION_H

#include <stdint.h>

#include "common/status.h"

struct device;

struct window_attention_args {
    float *out;          /* [n_rows, n_heads, head_dim] */
    const float *q;      /* [n_rows, n_heads, head_dim], not rotated */
    const float *k;      /* [n_sinks + n_ring, n_kv_heads, head_dim], not rotated */
    const float *v;      /* the same */
    const float *cos;    /* [>= n_sinks + n_window, head_dim / 2] by in-cache position */
    const float *sin;    /* the same */
    const uint32_t *pos; /* [n_rows], absolute, host memory */
    int n_rows, n_heads, n_kv_heads, head_dim;
    uint32_t n_sinks, n_window, n_ring; /* n_ring >= n_window + rows in flight */
    float scale;
};

/* What every device refuses: ST_INVALID. */
enum status window_attention_check(const struct window_attention_args *a, struct err *err);
void window_attention_ref(const struct window_attention_args *a);
enum status window_attention_cpu(struct device *dev, const struct window_attention_args *a,
                                 struct err *err);

#endif
