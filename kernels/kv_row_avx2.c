#include "kernels/kv_row.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "kernels/kv_layout.h"
#include "kernels/kv_unpack_avx2.h"

static __m128i to_f16(const float *x)
{
    return _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT);
}

void kv_row_put_k_avx2(void *head, uint32_t head_dim, uint32_t t, const float *row)
{
    uint16_t *k = (uint16_t *)head + kv_layout_k(head_dim, t, 0);
    uint16_t half[8];

    for (uint32_t d = 0; d < head_dim; d += 8) {
        _mm_storeu_si128((__m128i *)half, to_f16(row + d));
        for (int i = 0; i < 8; i++)
            k[(d + i) * 8] = half[i];
    }
}

void kv_row_put_v_avx2(void *head, uint32_t head_dim, uint32_t t, const float *row)
{
    uint16_t *v =
        (uint16_t *)((char *)head + kv_k_bytes(KV_F16, head_dim)) + kv_layout_v(head_dim, t, 0);

    for (uint32_t d = 0; d < head_dim; d += 8)
        _mm_storeu_si128((__m128i *)(v + d), to_f16(row + d));
}

static void from_f16(const uint16_t *half, uint32_t n, float *row)
{
    for (uint32_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(row + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(half + i))));
}

/* A token's K lies 16 bytes apart: two bytes are an f16, or a pair of dimensions. */
static void collect_k(const char *k, uint32_t n, uint16_t *unit)
{
    for (uint32_t i = 0; i < n; i++)
        memcpy(&unit[i], k + (size_t)i * 16, sizeof *unit);
}

void kv_row_get_k_avx2(enum kv_format from, const void *head, uint32_t head_dim, uint32_t t,
                       float *row)
{
    uint16_t unit[KV_MAX_HEAD_DIM];
    const char *k = head;

    if (from == KV_F16) {
        collect_k(k + kv_layout_k(head_dim, t, 0) * 2, head_dim, unit);
        from_f16(unit, head_dim, row);
        return;
    }
    const float *scale = (const float *)(k + kv_layout_k_scales(from, head_dim));
    const float *min = from == KV_INT4 ? scale + head_dim : scale;
    __m128i shift = _mm_cvtsi32_si128((int)kv_layout_k4_shift(t));
    bool is_int4 = from == KV_INT4;
    collect_k(k + (is_int4 ? kv_layout_k4(head_dim, t, 0) : kv_layout_k8(head_dim, t, 0)),
              head_dim / 2, unit);
    for (uint32_t d = 0; d < head_dim; d += 8) {
        __m128i bytes = _mm_loadl_epi64((const __m128i *)(unit + d / 2));
        __m256i q = _mm256_cvtepi8_epi32(bytes);
        if (is_int4)
            q = _mm256_and_si256(_mm256_srl_epi32(_mm256_cvtepu8_epi32(bytes), shift),
                                 _mm256_set1_epi32(15));
        __m256 x = kv_unpack_scale(_mm256_cvtepi32_ps(q), from, _mm256_loadu_ps(scale + d),
                                   _mm256_loadu_ps(min + d));
        _mm256_storeu_ps(row + d, x);
    }
}

void kv_row_get_v_avx2(enum kv_format from, const void *head, uint32_t head_dim, uint32_t t,
                       float *row)
{
    const char *v = (const char *)head + kv_k_bytes(from, head_dim);

    if (from == KV_F16) {
        from_f16((const uint16_t *)v + kv_layout_v(head_dim, t, 0), head_dim, row);
        return;
    }
    const float *scale = (const float *)(v + kv_layout_v_scales(from, head_dim)) + t;
    bool is_int4 = from == KV_INT4;
    __m256 factor = _mm256_set1_ps(*scale);
    __m256 min = is_int4 ? _mm256_set1_ps(scale[PAGE_TOKENS]) : factor;
    uint32_t shared = is_int4 ? 2 : 1; /* token pairs in a pair of bytes */
    const char *in = v + (size_t)(t / 2 / shared) * head_dim * 2;
    for (uint32_t d = 0; d < head_dim; d += 8) {
        __m256 q = kv_unpack_pairs(in + (size_t)d * 2, from, t % 2, t / 2 % shared);
        _mm256_storeu_ps(row + d, kv_unpack_scale(q, from, factor, min));
    }
}
