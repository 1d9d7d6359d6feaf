/*
 * K of 8 tokens is one register, as in a panel; V of 8 dimensions is one. The
 * rounding is kv_quant.h's: the same divisions, nearest, clamped. max and min
 * take their first operand's NaN away, as fmaxf does.
 */
#include "kernels/kv_section.h"

#include <immintrin.h>
#include <string.h>

#include "kernels/kv_layout.h"
#include "kernels/kv_row.h"
#include "kernels/kv_unpack_avx2.h"

static float max8(__m256 x)
{
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_shuffle_ps(y, y, 1)));
}

static float min8(__m256 x)
{
    return -max8(_mm256_sub_ps(_mm256_setzero_ps(), x));
}

/* How a channel is rounded: q = nearest((x - min) / scale) in lowest .. highest,
 * 0 where the scale is 0. */
struct channel {
    float scale, min, lowest, highest;
};

/* The channel x[0 .. 7], x[step] .. n vectors in all. */
static struct channel channel_of(enum kv_format to, const float *x, size_t step, uint32_t n)
{
    __m256 most = _mm256_loadu_ps(x), least = most;

    if (to == KV_INT8) {
        const __m256 sign = _mm256_set1_ps(-0.0f);
        most = _mm256_setzero_ps();
        for (uint32_t i = 0; i < n; i++)
            most = _mm256_max_ps(_mm256_andnot_ps(sign, _mm256_loadu_ps(x + i * step)), most);
        return (struct channel){max8(most) / 127.0f, 0.0f, -127.0f, 127.0f};
    }
    for (uint32_t i = 1; i < n; i++) {
        most = _mm256_max_ps(_mm256_loadu_ps(x + i * step), most);
        least = _mm256_min_ps(_mm256_loadu_ps(x + i * step), least);
    }
    /* + 0: which zero is the least of both signs must not matter. */
    float max = max8(most) + 0.0f, min = min8(least) + 0.0f;
    return (struct channel){(max - min) / 15.0f, min, 0.0f, 15.0f};
}

/* Eight elements to bytes, in the lower half. */
static __m128i quantize(const float *x, const struct channel *c)
{
    if (!(c->scale > 0.0f))
        return _mm_setzero_si128();
    __m256 y = _mm256_sub_ps(_mm256_loadu_ps(x), _mm256_set1_ps(c->min));
    y = _mm256_div_ps(y, _mm256_set1_ps(c->scale));
    y = _mm256_max_ps(y, _mm256_set1_ps(c->lowest));
    y = _mm256_min_ps(y, _mm256_set1_ps(c->highest));
    __m256i q = _mm256_cvtps_epi32(y);
    __m128i q16 = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    return _mm_packs_epi16(q16, q16);
}

/* Two channels' bytes in turns: a pair of dimensions (K) or of tokens (V). */
static __m128i quantize_pair(const float *x, const float *y, const struct channel c[2])
{
    return _mm_unpacklo_epi8(quantize(x, &c[0]), quantize(y, &c[1]));
}

/* Bytes below 16 into nibbles. */
static __m128i nibbles(__m128i low, __m128i high)
{
    return _mm_or_si128(low, _mm_slli_epi16(high, 4));
}

static void put_channel(float *scale, uint32_t i, uint32_t n, enum kv_format to,
                        const struct channel *c)
{
    scale[i] = c->scale;
    if (to == KV_INT4)
        scale[n + i] = c->min;
}

static void seal_k(enum kv_format to, const float *k, uint32_t head_dim, void *head)
{
    size_t panel = (size_t)head_dim * 8, out_panel = (size_t)head_dim * 8;
    float *scale = (float *)((char *)head + kv_layout_k_scales(to, head_dim));

    for (uint32_t d = 0; d < head_dim; d += 2) {
        const float *x = k + (size_t)d * 8;
        char *out = (char *)head + (size_t)d * 8;
        struct channel c[2];
        for (uint32_t i = 0; i < 2; i++) {
            c[i] = channel_of(to, x + (size_t)i * 8, panel, KV_PAGE_PANELS);
            put_channel(scale, d + i, head_dim, to, &c[i]);
        }
        for (uint32_t p = 0; p < KV_PAGE_PANELS; p += to == KV_INT4 ? 2 : 1) {
            __m128i q = quantize_pair(x + p * panel, x + p * panel + 8, c);
            if (to == KV_INT4)
                q = nibbles(q, quantize_pair(x + (p + 1) * panel, x + (p + 1) * panel + 8, c));
            _mm_storeu_si128((__m128i *)out, q);
            out += out_panel;
        }
    }
}

static void seal_v(enum kv_format to, const float *v, uint32_t head_dim, void *section)
{
    float *scale = (float *)((char *)section + kv_layout_v_scales(to, head_dim));
    uint32_t tokens = to == KV_INT4 ? 4 : 2; /* that share a run of bytes */
    char *out = section;

    for (uint32_t t = 0; t < PAGE_TOKENS; t += tokens) {
        const float *x = v + (size_t)t * head_dim;
        struct channel c[4];
        for (uint32_t i = 0; i < tokens; i++) {
            c[i] = channel_of(to, x + (size_t)i * head_dim, 8, head_dim / 8);
            put_channel(scale, t + i, PAGE_TOKENS, to, &c[i]);
        }
        for (uint32_t d = 0; d < head_dim; d += 8, x += 8, out += 16) {
            __m128i q = quantize_pair(x, x + head_dim, c);
            if (to == KV_INT4)
                q = nibbles(
                    q, quantize_pair(x + 2 * (size_t)head_dim, x + 3 * (size_t)head_dim, c + 2));
            _mm_storeu_si128((__m128i *)out, q);
        }
    }
}

void kv_section_seal_avx2(enum kv_format to, const float *section, uint32_t head_dim, void *head)
{
    seal_k(to, section, head_dim, head);
    seal_v(to, section + (size_t)PAGE_TOKENS * head_dim, head_dim,
           (char *)head + kv_k_bytes(to, head_dim));
}

static void widen_k(enum kv_format from, const void *head, uint32_t head_dim, float *out)
{
    const float *scale = (const float *)((const char *)head + kv_layout_k_scales(from, head_dim));
    const float *min = from == KV_INT4 ? scale + head_dim : scale;
    uint32_t shared = from == KV_INT4 ? 2 : 1; /* panels in a byte */

    for (uint32_t p = 0; p < KV_PAGE_PANELS; p++) {
        const char *in = (const char *)head + (size_t)(p / shared) * head_dim * 8;
        for (uint32_t d = 0; d < head_dim; d++, out += 8) {
            __m256 q = kv_unpack_pairs(in + (size_t)(d / 2) * 16, from, d % 2, p % shared);
            _mm256_storeu_ps(
                out, kv_unpack_scale(q, from, _mm256_set1_ps(scale[d]), _mm256_set1_ps(min[d])));
        }
    }
}

void kv_section_widen_avx2(enum kv_format from, const void *head, uint32_t head_dim, float *out)
{
    size_t n = kv_section_n(head_dim);

    if (from == KV_F32) {
        memcpy(out, head, n * sizeof *out);
    } else if (from == KV_F16) {
        const uint16_t *in = head;
        for (size_t i = 0; i < n; i += 8)
            _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(in + i))));
    } else {
        widen_k(from, head, head_dim, out);
        for (uint32_t t = 0; t < PAGE_TOKENS; t++)
            kv_row_get_v_avx2(from, head, head_dim, t, out + n / 2 + (size_t)t * head_dim);
    }
}

static double sum4(__m256d x)
{
    __m128d y = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_add_sd(y, _mm_unpackhi_pd(y, y)));
}

void kv_section_add_error_avx2(const float *x, const float *sealed, size_t n, double sums[2])
{
    __m256d error[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
    __m256d square[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};

    for (size_t i = 0; i < n; i += 8)
        for (size_t j = 0; j < 2; j++) {
            __m256d a = _mm256_cvtps_pd(_mm_loadu_ps(x + i + j * 4));
            __m256d b = _mm256_cvtps_pd(_mm_loadu_ps(sealed + i + j * 4));
            __m256d e = _mm256_sub_pd(a, b);
            error[j] = _mm256_fmadd_pd(e, e, error[j]);
            square[j] = _mm256_fmadd_pd(a, a, square[j]);
        }
    sums[0] += sum4(_mm256_add_pd(error[0], error[1]));
    sums[1] += sum4(_mm256_add_pd(square[0], square[1]));
}
