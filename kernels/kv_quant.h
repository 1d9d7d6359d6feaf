/*
 * kv_quant.h - the rounding rules of the quantized formats, one channel at a
 * time. Single-precision IEEE operations in a fixed order, so that scalar and
 * vector code give the same bytes. For files in kernels/ only.
 *
 *   int8  scale = max|x| / 127, q = nearest(x / scale) clamped to +-127
 *   int4  min = min x, scale = (max x - min) / 15, q = nearest((x - min) / scale)
 *         clamped to 0 .. 15
 * A channel whose scale underflows to 0 becomes the constant min (0 for int8).
 * Elements must be finite with |x| < 2^126; others give some bytes, no trap.
 */
#ifndef KERNELS_KV_QUANT_H
#define KERNELS_KV_QUANT_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

struct kv_quant_int4 {
    float scale, min;
};

/* x[0], x[stride], ... n of them. */
static inline float kv_quant_int8_scale(const float *x, uint32_t n, uint32_t stride)
{
    float max = 0.0f;
    for (uint32_t i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[(size_t)i * stride]));
    return max / 127.0f;
}

static inline int8_t kv_quant_int8(float x, float scale)
{
    if (!(scale > 0.0f))
        return 0;
    float q = rintf(x / scale);
    return (int8_t)(q > -127.0f ? (q < 127.0f ? q : 127.0f) : -127.0f);
}

static inline struct kv_quant_int4 kv_quant_int4_range(const float *x, uint32_t n, uint32_t stride)
{
    float min = x[0], max = x[0];
    for (uint32_t i = 1; i < n; i++) {
        min = fminf(min, x[(size_t)i * stride]);
        max = fmaxf(max, x[(size_t)i * stride]);
    }
    /* + 0: which zero is the least of both signs must not matter. */
    max += 0.0f;
    min += 0.0f;
    return (struct kv_quant_int4){(max - min) / 15.0f, min};
}

static inline uint8_t kv_quant_int4(float x, struct kv_quant_int4 c)
{
    if (!(c.scale > 0.0f))
        return 0;
    float q = rintf((x - c.min) / c.scale);
    return (uint8_t)(q > 0.0f ? (q < 15.0f ? q : 15.0f) : 0.0f);
}

#endif
