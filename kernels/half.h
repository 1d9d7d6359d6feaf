/*
 * half.h - f16 and bf16 scalars in plain C, bit-exact with F16C (round to
 * nearest even); the vector paths use the instructions.
 */
#ifndef KERNELS_HALF_H
#define KERNELS_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_bits_to_f32(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t half_f32_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float half_from_bf16(uint16_t h)
{
    return half_bits_to_f32((uint32_t)h << 16);
}

static inline float half_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t mag = h & 0x7fffu;

    if (mag >= 0x7c00u) /* infinity, NaN */
        return half_bits_to_f32(sign | 0x7f800000u | (mag & 0x3ffu) << 13);
    if (mag >= 0x0400u) /* normal: rebias 15 to 127 */
        return half_bits_to_f32(sign | ((mag << 13) + (112u << 23)));
    /* subnormal: mag * 2^-24 is exact in f32 */
    float f = (float)mag * 0x1p-24f;
    return half_bits_to_f32(sign | half_f32_to_bits(f));
}

static inline uint16_t half_to_f16(float f)
{
    uint32_t bits = half_f32_to_bits(f);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t mag = bits & 0x7fffffffu;

    if (mag > 0x7f800000u) /* NaN: keep the payload's top bits, stay quiet */
        return (uint16_t)(sign | 0x7e00u | (mag >> 13 & 0x3ffu));
    if (mag >= 0x477ff000u) /* rounds to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (mag < 0x38800000u) { /* subnormal or zero: adding 0.5 aligns and rounds */
        float aligned = half_bits_to_f32(mag) + 0.5f;
        return (uint16_t)(sign | (half_f32_to_bits(aligned) - 0x3f000000u));
    }
    mag += 0xfffu + (mag >> 13 & 1u); /* round to nearest even */
    return (uint16_t)(sign | ((mag - (112u << 23)) >> 13));
}

#endif
