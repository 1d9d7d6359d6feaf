/*
 * kv_unpack_avx2.h - eight elements of a quantized page to f32, the values of
 * kv_format_ops get_k and get_v. For files compiled for AVX2 only.
 */
#ifndef KERNELS_KV_UNPACK_AVX2_H
#define KERNELS_KV_UNPACK_AVX2_H

#include <immintrin.h>

#include "kernels/kv_format.h"

/* The attribute lets this header compile alone, without -mavx2. */
#define KV_UNPACK_FN __attribute__((target("avx2"))) static inline

/* Of 16 bytes, pairs of dimensions (K) or of tokens (V), the first (0) or the
 * second (1) of each; int4: of their low (0) or high (1) nibbles. */
KV_UNPACK_FN __m256 kv_unpack_pairs(const void *bytes, enum kv_format from, uint32_t second,
                                    uint32_t high)
{
    __m128i x = _mm_loadu_si128((const __m128i *)bytes);

    if (from == KV_INT8) {
        x = second ? x : _mm_slli_epi16(x, 8);
        return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_srai_epi16(x, 8)));
    }
    x = _mm_srl_epi16(x, _mm_cvtsi32_si128((int)(second * 8 + high * 4)));
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_and_si128(x, _mm_set1_epi16(15))));
}

/* q to x; `min` counts for int4 only. */
KV_UNPACK_FN __m256 kv_unpack_scale(__m256 q, enum kv_format from, __m256 scale, __m256 min)
{
    q = _mm256_mul_ps(scale, q);
    return from == KV_INT4 ? _mm256_add_ps(q, min) : q;
}

#endif
