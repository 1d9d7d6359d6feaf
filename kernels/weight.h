/*
 * weight.h - one weight as f32, wherever it lies. For files in kernels/ only.
 *
 * Checkpoints align tensors to nothing, so elements are read by memcpy.
 */
#ifndef KERNELS_WEIGHT_H
#define KERNELS_WEIGHT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/half.h"
#include "kernels/matmul.h"

static inline size_t weight_bytes(enum weight_type type)
{
    return type == WEIGHT_F32 ? 4 : 2;
}

/* Element i of w, exact. */
static inline float weight_get(const void *w, enum weight_type type, size_t i)
{
    uint16_t half;
    float f;

    if (type == WEIGHT_F32) {
        memcpy(&f, (const char *)w + i * sizeof f, sizeof f);
        return f;
    }
    memcpy(&half, (const char *)w + i * sizeof half, sizeof half);
    return type == WEIGHT_F16 ? half_from_f16(half) : half_from_bf16(half);
}

#endif
