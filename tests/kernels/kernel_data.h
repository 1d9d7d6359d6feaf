/*
 * kernel_data.h - what tests of operations share: seeded numbers, weights of
 * any type and alignment, outputs between guard bands, devices.
 */
#ifndef TESTS_KERNELS_KERNEL_DATA_H
#define TESTS_KERNELS_KERNEL_DATA_H

#include "kernels/device.h"
#include "kernels/half.h"
#include "kernels/matmul.h"
#include "kernels/weight.h"
#include "tests/test_helpers.h"

enum { GUARD_BYTES = 64, GUARD_VALUE = 0xa5 };

/* n floats with GUARD_BYTES of known bytes before and after them. */
struct guarded {
    float *p;
    size_t n;
};

static inline void guarded_init(struct guarded *g, size_t n)
{
    size_t size = n * sizeof(float) + 2 * GUARD_BYTES;
    unsigned char *raw = malloc(size);

    assert_non_null(raw);
    memset(raw, GUARD_VALUE, size);
    g->p = (float *)(void *)(raw + GUARD_BYTES);
    g->n = n;
}

/* Fails if a guard band was written; frees. */
static inline void guarded_release(struct guarded *g)
{
    unsigned char *raw = (unsigned char *)g->p - GUARD_BYTES;
    unsigned char *end = (unsigned char *)(g->p + g->n);

    for (int i = 0; i < GUARD_BYTES; i++)
        if (raw[i] != GUARD_VALUE || end[i] != GUARD_VALUE)
            fail_msg("byte %d of a guard band around %zu floats was written", i, g->n);
    free(raw);
}

static inline uint32_t data_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Uniform in [-1, 1). */
static inline float data_float(uint32_t *state)
{
    return (float)data_next(state) * 0x1p-23f - 1.0f;
}

static inline void data_fill(float *x, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = data_float(&seed);
}

/* n weights of `type`, at an odd address, ending exactly where the block ends so
 * that the sanitizer sees an over-read. Free with data_weights_free. */
static inline void *data_weights(enum weight_type type, size_t n, uint32_t seed)
{
    char *w = (char *)malloc(1 + n * weight_bytes(type)) + 1;

    for (size_t i = 0; i < n; i++) {
        float f = data_float(&seed);
        uint16_t half = type == WEIGHT_F16 ? half_to_f16(f) : (uint16_t)(half_f32_to_bits(f) >> 16);
        if (type == WEIGHT_F32)
            memcpy(w + 4 * i, &f, 4);
        else
            memcpy(w + 2 * i, &half, 2);
    }
    return w;
}

static inline void data_weights_free(void *w)
{
    free((char *)w - 1);
}

static inline struct device *data_device(int n_threads, bool portable)
{
    struct device_options opt = {.n_threads = n_threads, .portable = portable};
    struct device *dev = NULL;
    struct err err = {{0}};

    if (device_open(&dev, "cpu:0", &opt, &err) != ST_OK)
        fail_msg("%s", err.text);
    return dev;
}

#endif
