#include "kernels/rmsnorm_avx2.h"

#include "common/mem.h"

#if defined(__AVX2__)
#include <math.h>

#include "kernels/weight_avx2.h"

/*
 * Four registers of partial sums hide the latency of the additions; which
 * element goes into which lane is a function of its column alone.
 */
static float sum_of_squares(const float *in, int n_cols)
{
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    int c = 0;

    for (; c + 32 <= n_cols; c += 32)
        for (int j = 0; j < 4; j++) {
            __m256 x = _mm256_loadu_ps(in + c + 8 * j);
            sum[j] = _mm256_fmadd_ps(x, x, sum[j]);
        }
    for (int j = 0; c < n_cols; c += 8, j++) {
        __m256 x = _mm256_maskload_ps(in + c, weight_mask_avx2(n_cols - c));
        sum[j] = _mm256_fmadd_ps(x, x, sum[j]);
    }
    __m256 s = _mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3]));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

WEIGHT_AVX2 void rows_of_type(const struct rmsnorm_args *a, int row, int row_end,
                              enum weight_type type)
{
    int tail = a->n_cols % 8;
    int n_full = a->n_cols - tail;

    for (; row < row_end; row++) {
        const float *in = a->in + (size_t)row * (size_t)a->n_cols;
        float *out = a->out + (size_t)row * (size_t)a->n_cols;
        float mean = sum_of_squares(in, a->n_cols) / (float)a->n_cols;
        __m256 scale = _mm256_set1_ps(1.0f / sqrtf(mean + a->eps));

        for (int c = 0; c < n_full; c += 8) {
            __m256 x = _mm256_mul_ps(_mm256_loadu_ps(in + c), scale);
            __m256 w = weight_load_avx2(a->weight, type, (size_t)c);
            _mm256_storeu_ps(out + c, _mm256_mul_ps(x, w));
        }
        if (tail > 0) {
            __m256i mask = weight_mask_avx2(tail);
            __m256 x = _mm256_mul_ps(_mm256_maskload_ps(in + n_full, mask), scale);
            __m256 w = weight_tail_avx2(a->weight, type, (size_t)n_full, tail);
            _mm256_maskstore_ps(out + n_full, mask, _mm256_mul_ps(x, w));
        }
    }
}

void rmsnorm_avx2(const struct rmsnorm_args *a, int row, int row_end)
{
    switch (a->type) {
    case WEIGHT_F32:
        rows_of_type(a, row, row_end, WEIGHT_F32);
        break;
    case WEIGHT_F16:
        rows_of_type(a, row, row_end, WEIGHT_F16);
        break;
    case WEIGHT_BF16:
        rows_of_type(a, row, row_end, WEIGHT_BF16);
        break;
    }
}

#else

void rmsnorm_avx2(const struct rmsnorm_args *a, int row, int row_end)
{
    CHECK(!"no AVX2 in this build");
}

#endif
