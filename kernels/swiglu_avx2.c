#include "kernels/swiglu_avx2.h"

#include "common/mem.h"

#if defined(__AVX2__)
#include "kernels/exp_avx2.h"
#include "kernels/weight_avx2.h"

static __m256 silu_times(__m256 gate, __m256 up)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 e = exp_avx2(_mm256_xor_ps(gate, _mm256_set1_ps(-0.0f)));

    return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(one, e)), up);
}

void swiglu_avx2(const struct swiglu_args *a, size_t begin, size_t end)
{
    size_t i = begin;

    for (; i + 8 <= end; i += 8)
        _mm256_storeu_ps(a->out + i,
                         silu_times(_mm256_loadu_ps(a->gate + i), _mm256_loadu_ps(a->up + i)));
    if (i < end) {
        __m256i mask = weight_mask_avx2((int)(end - i));
        __m256 gate = _mm256_maskload_ps(a->gate + i, mask);
        __m256 up = _mm256_maskload_ps(a->up + i, mask);
        _mm256_maskstore_ps(a->out + i, mask, silu_times(gate, up));
    }
}

#else

void swiglu_avx2(const struct swiglu_args *a, size_t begin, size_t end)
{
    CHECK(!"no AVX2 in this build");
}

#endif
