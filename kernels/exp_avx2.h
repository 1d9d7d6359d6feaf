/*
 * exp_avx2.h - e^x for 8 floats. For files compiled for AVX2 and FMA only.
 *
 * x = n ln 2 + r with |r| <= ln(2)/2; e^r = 1 + r + r^2 q(r), q of degree 4
 * through the Chebyshev nodes of that interval (error 2^-26); times 2^n.
 * Relative error below 1e-7 (less than a unit in the last place), as
 * test_exp_avx2 checks over the range. e^0 is exactly 1. Below -86.6 the result is 0
 * (absolute error below 2.5e-38), so no subnormals come out; -infinity gives 0,
 * above 88.7228 infinity, NaN stays NaN.
 * A lane's result depends on its own x only.
 */
#ifndef KERNELS_EXP_AVX2_H
#define KERNELS_EXP_AVX2_H

#include <immintrin.h>

/* The attribute lets this header compile alone, without -mavx2. */
__attribute__((target("avx2,fma"))) static inline __m256 exp_avx2(__m256 x)
{
    const __m256 lowest = _mm256_set1_ps(-86.6f);
    const __m256 highest = _mm256_set1_ps(0x1.62e42ep6f); /* ln(FLT_MAX), rounded down */
    __m256 too_low = _mm256_cmp_ps(x, lowest, _CMP_LT_OQ);
    __m256 too_high = _mm256_cmp_ps(x, highest, _CMP_GT_OQ);

    /* min and max give their second operand when one is NaN. */
    x = _mm256_max_ps(lowest, _mm256_min_ps(highest, x));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p0f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    /* ln 2 in two parts; the upper has 15 bits, so n times it is exact. */
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);

    __m256 q = _mm256_set1_ps(0x1.6d113cp-10f);
    q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(0x1.120ba2p-7f));
    q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(0x1.55551ap-5f));
    q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(0x1.5554dcp-3f));
    q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(0.5f));
    __m256 p = _mm256_fmadd_ps(q, _mm256_mul_ps(r, r), r);
    p = _mm256_add_ps(p, _mm256_set1_ps(1.0f));

    /* n lies in [-125, 128]: 2 p times 2^(n - 1), whose exponent always fits. */
    __m256i scale =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(126)), 23);
    p = _mm256_mul_ps(_mm256_add_ps(p, p), _mm256_castsi256_ps(scale));
    p = _mm256_andnot_ps(too_low, p);
    return _mm256_blendv_ps(p, _mm256_set1_ps(__builtin_inff()), too_high);
}

#endif
