/*
 * attention_call.h - a call of attention over a fixture's view, by the reference or a device, into
 * a guarded buffer.
 */
#ifndef TESTS_KERNELS_ATTENTION_CALL_H
#define TESTS_KERNELS_ATTENTION_CALL_H

#include "common/mem.h"
#include "kernels/attention.h"
#include "kernels/device.h"
#include "kernels/ops.h"
#include "tests/kernels/kv_fixture.h"
#include "tests/test_helpers.h"

struct attention_call {
    const struct kv_view *view;
    int n_heads;
    const float *q;        /* all rows */
    const uint32_t *limit; /* all rows */
    uint32_t window;
};

static inline struct device *attention_call_device(int n_threads, bool portable)
{
    struct device_options opt = {.n_threads = n_threads, .portable = portable};
    struct device *dev = NULL;
    struct err err = {{0}};
    if (device_open(&dev, "cpu:0", &opt, &err) != ST_OK)
        fail_msg("%s", err.text);
    return dev;
}

/* Rows first .. first + n of the call, into a guarded, poisoned buffer. */
static inline float *attention_call_run(struct device *dev, const struct attention_call *c,
                                        int first, int n)
{
    size_t row = (size_t)c->n_heads * c->view->shape.head_dim;
    float *out = kv_guard_open((size_t)n * row * sizeof *out);
    struct attention_args a = {.out = out,
                               .q = c->q + (size_t)first * row,
                               .limit = c->limit + first,
                               .n_rows = n,
                               .n_heads = c->n_heads,
                               .scale = 1.0f / sqrtf((float)c->view->shape.head_dim),
                               .view = c->view,
                               .window = c->window};
    struct err err = {{0}};
    if (dev == NULL)
        attention_ref(&a);
    else if (device_ops(dev)->attention(dev, &a, &err) != ST_OK)
        fail_msg("%s", err.text);
    return out;
}

static inline void attention_call_drop(const struct attention_call *c, float *out, int n)
{
    kv_guard_close(out, (size_t)n * (size_t)c->n_heads * c->view->shape.head_dim * sizeof *out);
}

/* The bits of each of n_rows (> 90) rows alone against those of calls of several
 * rows on other numbers of threads; `words` say which call this is. */
static inline void attention_call_expect_invariance(const struct attention_call *c, int n_rows,
                                                    bool portable, const char *words)
{
    const int sizes[] = {2, 3, 8, 9, 16, 17, 33, n_rows};
    size_t row = (size_t)c->n_heads * c->view->shape.head_dim;
    float *alone = mem_array((size_t)n_rows * row, sizeof *alone);
    struct device *one = attention_call_device(1, portable);

    for (int r = 0; r < n_rows; r++) {
        float *out = attention_call_run(one, c, r, 1);
        memcpy(alone + (size_t)r * row, out, row * sizeof *out);
        attention_call_drop(c, out, 1);
    }
    device_close(one);
    for (int threads = 1; threads <= 3; threads++) {
        struct device *dev = attention_call_device(threads, portable);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            int n = sizes[i], first = n == n_rows ? 0 : 3 + 13 * threads + (int)i;
            float *out = attention_call_run(dev, c, first, n);
            if (memcmp(out, alone + (size_t)first * row, (size_t)n * row * sizeof *out) != 0)
                fail_msg("%s: %d rows on %d threads differ from 1 row", words, n, threads);
            attention_call_drop(c, out, n);
        }
        device_close(dev);
    }
    free(alone);
}

static inline double attention_call_worst(const float *a, const float *b, size_t n)
{
    double most = 0.0;
    for (size_t i = 0; i < n; i++) {
        double e = fabs((double)a[i] - (double)b[i]);
        most = e > most || e != e ? e : most;
        if (e != e)
            return INFINITY;
    }
    return most;
}

/* Values are of order 1. Float paths: scores reach 100 with the outlier
 * channels, an f32 score is then off by some 100 * 2^-24 * sqrt(D) and moves p
 * by that much relatively. Quantized pages add 2^-16 of the largest product of
 * the row, which outliers make some 60, times sqrt(D) / 2 terms in effect. */
static inline double attention_call_tolerance(bool quantized)
{
    return quantized ? 6e-3 : 2e-4;
}

#endif
