/*
 * The portable page step: plain loops whose inner index runs over contiguous
 * memory, so that any compiler's vectorizer finds them. Quantized pages use
 * the same integers as the AVX2 path; the two differ in float rounding only.
 */
#include <math.h>

#include "kernels/attention_page.h"
#include "kernels/device_cpu.h"
#include "kernels/half.h"
#include "kernels/kv_layout.h"

/* K or V of an unquantized page as f32. */
static const float *section_f32(const void *section, const struct attention_page *page,
                                uint32_t n_tokens, float *scratch)
{
    const uint16_t *half = section;
    /* Whole panels: K's elements of a token are spread over its panel. */
    size_t n = (size_t)((n_tokens + 7) / 8 * 8) * page->head_dim;

    if (page->format == KV_F32)
        return section;
    for (size_t i = 0; i < n; i++)
        scratch[i] = half_from_f16(half[i]);
    return scratch;
}

/* x16 = nearest(x * 32767 / max|x|); returns max|x| / 32767. */
static float to_x16(const float *x, uint32_t n, int16_t *x16)
{
    float max = 0.0f;

    for (uint32_t i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[i]));
    float inv = max > ATTENTION_LEAST_MAX ? 32767.0f / max : 0.0f;
    for (uint32_t i = 0; i < n; i++) {
        float y = rintf(x[i] * inv);
        x16[i] = (int16_t)(y > -32767.0f ? (y < 32767.0f ? y : 32767.0f) : -32767.0f);
    }
    return inv > 0.0f ? max / 32767.0f : 0.0f;
}

static void scores_float(const struct attention_page *page, const struct attention_row *row,
                         const float *k, float *s)
{
    uint32_t D = page->head_dim, n_panels = (attention_page_n(page, row) + 7) / 8;

    for (uint32_t panel = 0; panel < n_panels; panel++) {
        const float *kp = k + (size_t)panel * 8 * D;
        float acc[8] = {0};
        for (uint32_t d = 0; d < D; d++)
            for (int j = 0; j < 8; j++)
                acc[j] += row->q[d] * kp[d * 8 + j];
        for (int j = 0; j < 8; j++)
            s[panel * 8 + j] = acc[j] * page->scale;
    }
}

static void scores_quant(const struct attention_page *page, const struct attention_row *row,
                         int16_t *x16, float *s)
{
    uint32_t D = page->head_dim, n = attention_page_n(page, row);
    const uint8_t *k = page->head;
    const float *scale = (const float *)(k + kv_layout_k_scales(page->format, D));
    bool is_int4 = page->format == KV_INT4;
    float x[KV_MAX_HEAD_DIM] = {0}, base = 0.0f;

    for (uint32_t d = 0; d < D; d++) {
        x[d] = row->q[d] * scale[d];
        if (is_int4)
            base += row->q[d] * scale[D + d];
    }
    float factor = to_x16(x, D, x16);
    for (uint32_t t = 0; t < n; t++) {
        int32_t sum = 0;
        for (uint32_t d = 0; d < D; d++)
            sum += x16[d] *
                   (is_int4 ? (int32_t)(k[kv_layout_k4(D, t, d)] >> kv_layout_k4_shift(t) & 15u)
                            : (int32_t)(int8_t)k[kv_layout_k8(D, t, d)]);
        s[t] = ((float)sum * factor + base) * page->scale;
    }
}

static void scores(const struct attention_page *page, struct attention_row *const *row, int n,
                   struct attention_scratch *scratch)
{
    const float *k = NULL;
    uint32_t most = 0;

    for (int i = 0; i < n; i++)
        most = attention_page_n(page, row[i]) > most ? attention_page_n(page, row[i]) : most;
    if (!kv_format_is_quantized(page->format))
        k = section_f32(page->head, page, most, scratch->section);
    for (int i = 0; i < n; i++) {
        float *s = scratch->s + (size_t)i * PAGE_TOKENS;
        if (k != NULL)
            scores_float(page, row[i], k, s);
        else
            scores_quant(page, row[i], scratch->x16, s);
    }
}

/* s becomes p; the row's maximum, sum and acc move to the new maximum. */
static void softmax_row(const struct attention_page *page, struct attention_row *row, float *s)
{
    uint32_t n = attention_page_n(page, row), n_hidden = attention_page_hidden(page, row);
    float max = row->max, sum = 0.0f;

    for (uint32_t t = 0; t < n_hidden; t++)
        s[t] = -INFINITY;
    for (uint32_t t = 0; t < n; t++)
        max = fmaxf(max, s[t]);
    float shrink = row->max == max ? 1.0f : expf(row->max - max);
    for (uint32_t t = 0; t < n; t++)
        sum += s[t] = expf(s[t] - max);
    row->sum = row->sum * shrink + sum;
    row->max = max;
    for (uint32_t d = 0; d < page->head_dim; d++)
        row->acc[d] *= shrink;
}

static void values_float(const struct attention_page *page, struct attention_row *row,
                         const float *v, const float *p)
{
    uint32_t D = page->head_dim, n = attention_page_n(page, row);

    for (uint32_t t = 0; t < n; t++)
        for (uint32_t d = 0; d < D; d++)
            row->acc[d] += p[t] * v[(size_t)t * D + d];
}

static void values_quant(const struct attention_page *page, struct attention_row *row,
                         const void *section, int16_t *x16, const float *p)
{
    uint32_t D = page->head_dim, n = attention_page_n(page, row);
    const uint8_t *v = section;
    const float *scale = (const float *)(v + kv_layout_v_scales(page->format, D));
    bool is_int4 = page->format == KV_INT4;
    int32_t sum[KV_MAX_HEAD_DIM] = {0};
    float x[PAGE_TOKENS] = {0}, base = 0.0f;

    for (uint32_t t = 0; t < n; t++) {
        x[t] = p[t] * scale[t];
        if (is_int4)
            base += p[t] * scale[PAGE_TOKENS + t];
    }
    float factor = to_x16(x, n, x16);
    for (uint32_t t = 0; t < n; t++)
        for (uint32_t d = 0; d < D; d++)
            sum[d] += x16[t] *
                      (is_int4 ? (int32_t)(v[kv_layout_v4(D, t, d)] >> kv_layout_v4_shift(t) & 15u)
                               : (int32_t)(int8_t)v[kv_layout_v8(D, t, d)]);
    for (uint32_t d = 0; d < D; d++)
        row->acc[d] += (float)sum[d] * factor + base;
}

static void fold(const struct attention_page *page, struct attention_row *const *row, int n,
                 struct attention_scratch *scratch)
{
    const void *section = (const char *)page->head + kv_k_bytes(page->format, page->head_dim);
    const float *v = NULL;
    uint32_t most = 0;

    scores(page, row, n, scratch);
    for (int i = 0; i < n; i++)
        most = attention_page_n(page, row[i]) > most ? attention_page_n(page, row[i]) : most;
    if (!kv_format_is_quantized(page->format))
        v = section_f32(section, page, most, scratch->section);
    for (int i = 0; i < n; i++) {
        float *s = scratch->s + (size_t)i * PAGE_TOKENS;
        softmax_row(page, row[i], s);
        if (v != NULL)
            values_float(page, row[i], v, s);
        else
            values_quant(page, row[i], section, scratch->x16, s);
    }
}

const struct attention_page_ops attention_page_portable = {scores, fold};

const struct attention_page_ops *attention_page_ops(const struct device *dev)
{
#if defined(__x86_64__)
    if (device_cpu_avx2(dev))
        return &attention_page_avx2;
#endif
    return &attention_page_portable;
}
