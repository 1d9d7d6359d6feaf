/*
 * weight_avx2.h - 8 weights as f32 in a register. For *_avx2.c files only.
 *
 * `type` should be a compile-time constant where these are called, so that the
 * switch goes away.
 */
#ifndef KERNELS_WEIGHT_AVX2_H
#define KERNELS_WEIGHT_AVX2_H

#include <immintrin.h>

#include "kernels/weight.h"

#define WEIGHT_AVX2 __attribute__((target("avx2,fma,f16c"), always_inline)) static inline

/* All ones in lanes 0 .. n-1, n <= 8. */
WEIGHT_AVX2 __m256i weight_mask_avx2(int n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane);
}

/* Elements i .. i+7 of w. */
WEIGHT_AVX2 __m256 weight_load_avx2(const void *w, enum weight_type type, size_t i)
{
    const char *p = (const char *)w + i * weight_bytes(type);

    if (type == WEIGHT_F32)
        return _mm256_loadu_ps((const float *)(const void *)p);
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)p);
    if (type == WEIGHT_F16)
        return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

/* Elements i .. i+n-1 in lanes 0 .. n-1, zero above; n < 8. Reads nothing
 * beyond them. */
WEIGHT_AVX2 __m256 weight_tail_avx2(const void *w, enum weight_type type, size_t i, int n)
{
    char lane[32] = {0};

    memcpy(lane, (const char *)w + i * weight_bytes(type), (size_t)n * weight_bytes(type));
    return weight_load_avx2(lane, type, 0);
}

#endif
