#include "kernels/kv_row.h"

#include <immintrin.h>

#include "kernels/kv_layout.h"

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
