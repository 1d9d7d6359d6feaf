#include <immintrin.h>

#include "kernels/exp_avx2.h"
#include "kernels/window_attention_head.h"

static void rotate(const struct window_attention_args *a, const float *x, uint32_t p, float *out)
{
    size_t half = (size_t)a->head_dim / 2;
    const float *c = a->cos + p * half, *s = a->sin + p * half;

    for (size_t i = 0; i < half; i += 8) {
        __m256 lo = _mm256_loadu_ps(x + i), hi = _mm256_loadu_ps(x + i + half);
        __m256 cc = _mm256_loadu_ps(c + i), ss = _mm256_loadu_ps(s + i);
        _mm256_storeu_ps(out + i, _mm256_fmsub_ps(lo, cc, _mm256_mul_ps(hi, ss)));
        _mm256_storeu_ps(out + i + half, _mm256_fmadd_ps(hi, cc, _mm256_mul_ps(lo, ss)));
    }
}

static float sum8(__m256 x)
{
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_shuffle_ps(y, y, 1)));
}

static float dot(const float *x, const float *y, size_t n)
{
    __m256 even = _mm256_setzero_ps(), odd = _mm256_setzero_ps();

    for (size_t i = 0; i < n; i += 16) {
        even = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), even);
        odd = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 8), _mm256_loadu_ps(y + i + 8), odd);
    }
    return sum8(_mm256_add_ps(even, odd));
}

/* p becomes e^(p - max); returns 1 / sum. p has room for whole vectors. */
static float softmax(float *p, uint32_t n)
{
    float max = p[0];

    for (uint32_t i = 1; i < n; i++)
        max = p[i] > max ? p[i] : max;
    for (uint32_t i = n; i % 8 != 0; i++)
        p[i] = -__builtin_inff();
    __m256 sum = _mm256_setzero_ps();
    for (uint32_t i = 0; i < n; i += 8) {
        __m256 e = exp_avx2(_mm256_sub_ps(_mm256_loadu_ps(p + i), _mm256_set1_ps(max)));
        _mm256_storeu_ps(p + i, e);
        sum = _mm256_add_ps(sum, e);
    }
    return 1.0f / sum8(sum);
}

/* out[0..8) and out[8..16) = inv * sum_i p[i] v[slot(i)] from dimension d on. */
static void values16(const struct window_attention_args *a,
                     const struct window_attention_span *span, const float *v, const float *p,
                     float inv, float *out)
{
    size_t stride = (size_t)a->n_kv_heads * (size_t)a->head_dim;
    __m256 lo = _mm256_setzero_ps(), hi = _mm256_setzero_ps();

    for (uint32_t i = 0; i < span->n; i++) {
        const float *row = v + window_attention_slot(a, span, i) * stride;
        __m256 w = _mm256_broadcast_ss(p + i);
        lo = _mm256_fmadd_ps(w, _mm256_loadu_ps(row), lo);
        hi = _mm256_fmadd_ps(w, _mm256_loadu_ps(row + 8), hi);
    }
    _mm256_storeu_ps(out, _mm256_mul_ps(lo, _mm256_set1_ps(inv)));
    _mm256_storeu_ps(out + 8, _mm256_mul_ps(hi, _mm256_set1_ps(inv)));
}

void window_attention_head_avx2(const struct window_attention_args *a, int row, int kv_head,
                                float *scratch)
{
    size_t D = (size_t)a->head_dim, group = (size_t)(a->n_heads / a->n_kv_heads);
    size_t n_max = ((size_t)a->n_sinks + a->n_window + 7) & ~(size_t)7;
    size_t first = ((size_t)row * (size_t)a->n_heads + (size_t)kv_head * group) * D;
    struct window_attention_span span = window_attention_span(a, a->pos[row]);
    float *q = scratch, *k = q + group * D, *p = k + D;

    for (size_t j = 0; j < group; j++)
        rotate(a, a->q + first + j * D, span.n - 1, q + j * D);
    for (uint32_t i = 0; i < span.n; i++) {
        size_t slot = window_attention_slot(a, &span, i);
        rotate(a, a->k + (slot * (size_t)a->n_kv_heads + (size_t)kv_head) * D, i, k);
        for (size_t j = 0; j < group; j++)
            p[j * n_max + i] = dot(q + j * D, k, D) * a->scale;
    }
    for (size_t j = 0; j < group; j++) {
        float inv = softmax(p + j * n_max, span.n);
        for (size_t d = 0; d < D; d += 16)
            values16(a, &span, a->v + (size_t)kv_head * D + d, p + j * n_max, inv,
                     a->out + first + j * D + d);
    }
}
