#include "kernels/kv_format.h"

#include <math.h>
#include <string.h>

#include "kernels/half.h"
#include "kernels/kv_layout.h"
#include "kernels/kv_quant.h"

/* Sections are multiples of 32 bytes and pages come from aligned memory, so the
 * element types may be read in place. */
static const void *v_of(const void *head, enum kv_format format, uint32_t head_dim)
{
    return (const char *)head + kv_k_bytes(format, head_dim);
}

static void *v_of_mut(void *head, enum kv_format format, uint32_t head_dim)
{
    return (char *)head + kv_k_bytes(format, head_dim);
}

static void f32_get_k(const void *head, uint32_t head_dim, uint32_t t, float *row)
{
    const float *k = head;
    for (uint32_t d = 0; d < head_dim; d++)
        row[d] = k[kv_layout_k(head_dim, t, d)];
}

static void f32_get_v(const void *head, uint32_t head_dim, uint32_t t, float *row)
{
    const float *v = v_of(head, KV_F32, head_dim);
    memcpy(row, v + kv_layout_v(head_dim, t, 0), head_dim * sizeof *row);
}

static void f32_put_k(void *head, uint32_t head_dim, uint32_t t, const float *row)
{
    float *k = head;
    for (uint32_t d = 0; d < head_dim; d++)
        k[kv_layout_k(head_dim, t, d)] = row[d];
}

static void f32_put_v(void *head, uint32_t head_dim, uint32_t t, const float *row)
{
    float *v = v_of_mut(head, KV_F32, head_dim);
    memcpy(v + kv_layout_v(head_dim, t, 0), row, head_dim * sizeof *row);
}

static void f16_get_k(const void *head, uint32_t head_dim, uint32_t t, float *row)
{
    const uint16_t *k = head;
    for (uint32_t d = 0; d < head_dim; d++)
        row[d] = half_from_f16(k[kv_layout_k(head_dim, t, d)]);
}

static void f16_get_v(const void *head, uint32_t head_dim, uint32_t t, float *row)
{
    const uint16_t *v = v_of(head, KV_F16, head_dim);
    for (uint32_t d = 0; d < head_dim; d++)
        row[d] = half_from_f16(v[kv_layout_v(head_dim, t, d)]);
}

static void f16_put_k(void *head, uint32_t head_dim, uint32_t t, const float *row)
{
    uint16_t *k = head;
    for (uint32_t d = 0; d < head_dim; d++)
        k[kv_layout_k(head_dim, t, d)] = half_to_f16(row[d]);
}

static void f16_put_v(void *head, uint32_t head_dim, uint32_t t, const float *row)
{
    uint16_t *v = v_of_mut(head, KV_F16, head_dim);
    for (uint32_t d = 0; d < head_dim; d++)
        v[kv_layout_v(head_dim, t, d)] = half_to_f16(row[d]);
}

static void int8_get_k(const void *head, uint32_t head_dim, uint32_t t, float *row)
{
    const int8_t *k = head;
    const float *scale =
        (const float *)((const char *)head + kv_layout_k_scales(KV_INT8, head_dim));
    for (uint32_t d = 0; d < head_dim; d++)
        row[d] = scale[d] * (float)k[kv_layout_k8(head_dim, t, d)];
}

static void int8_get_v(const void *head, uint32_t head_dim, uint32_t t, float *row)
{
    const int8_t *v = v_of(head, KV_INT8, head_dim);
    const float *scale = (const float *)((const char *)v + kv_layout_v_scales(KV_INT8, head_dim));
    for (uint32_t d = 0; d < head_dim; d++)
        row[d] = scale[t] * (float)v[kv_layout_v8(head_dim, t, d)];
}

static void int4_get_k(const void *head, uint32_t head_dim, uint32_t t, float *row)
{
    const uint8_t *k = head;
    const float *scale = (const float *)(k + kv_layout_k_scales(KV_INT4, head_dim));
    const float *min = scale + head_dim;
    for (uint32_t d = 0; d < head_dim; d++) {
        unsigned q = k[kv_layout_k4(head_dim, t, d)] >> kv_layout_k4_shift(t) & 15u;
        row[d] = scale[d] * (float)q + min[d];
    }
}

static void int4_get_v(const void *head, uint32_t head_dim, uint32_t t, float *row)
{
    const uint8_t *v = v_of(head, KV_INT4, head_dim);
    const float *scale = (const float *)(v + kv_layout_v_scales(KV_INT4, head_dim));
    const float *min = scale + PAGE_TOKENS;
    for (uint32_t d = 0; d < head_dim; d++) {
        unsigned q = v[kv_layout_v4(head_dim, t, d)] >> kv_layout_v4_shift(t) & 15u;
        row[d] = scale[t] * (float)q + min[t];
    }
}

static void seal_rows(enum kv_format format, void *head, uint32_t head_dim, const float *k_rows,
                      const float *v_rows)
{
    const struct kv_format_ops *ops = kv_format_ops(format);
    for (uint32_t t = 0; t < PAGE_TOKENS; t++) {
        ops->put_k(head, head_dim, t, k_rows + (size_t)t * head_dim);
        ops->put_v(head, head_dim, t, v_rows + (size_t)t * head_dim);
    }
}

static void f32_seal(void *head, uint32_t head_dim, const float *k_rows, const float *v_rows)
{
    seal_rows(KV_F32, head, head_dim, k_rows, v_rows);
}

static void f16_seal(void *head, uint32_t head_dim, const float *k_rows, const float *v_rows)
{
    seal_rows(KV_F16, head, head_dim, k_rows, v_rows);
}

static void int8_seal(void *head, uint32_t head_dim, const float *k_rows, const float *v_rows)
{
    int8_t *k = head, *v = v_of_mut(head, KV_INT8, head_dim);
    float *k_scale = (float *)((char *)k + kv_layout_k_scales(KV_INT8, head_dim));
    float *v_scale = (float *)((char *)v + kv_layout_v_scales(KV_INT8, head_dim));

    for (uint32_t d = 0; d < head_dim; d++) {
        k_scale[d] = kv_quant_int8_scale(k_rows + d, PAGE_TOKENS, head_dim);
        for (uint32_t t = 0; t < PAGE_TOKENS; t++)
            k[kv_layout_k8(head_dim, t, d)] =
                kv_quant_int8(k_rows[(size_t)t * head_dim + d], k_scale[d]);
    }
    for (uint32_t t = 0; t < PAGE_TOKENS; t++) {
        const float *row = v_rows + (size_t)t * head_dim;
        v_scale[t] = kv_quant_int8_scale(row, head_dim, 1);
        for (uint32_t d = 0; d < head_dim; d++)
            v[kv_layout_v8(head_dim, t, d)] = kv_quant_int8(row[d], v_scale[t]);
    }
}

static void int4_seal(void *head, uint32_t head_dim, const float *k_rows, const float *v_rows)
{
    uint8_t *k = head, *v = v_of_mut(head, KV_INT4, head_dim);
    float *k_scale = (float *)(k + kv_layout_k_scales(KV_INT4, head_dim));
    float *v_scale = (float *)(v + kv_layout_v_scales(KV_INT4, head_dim));

    memset(k, 0, kv_layout_k_scales(KV_INT4, head_dim));
    memset(v, 0, kv_layout_v_scales(KV_INT4, head_dim));
    for (uint32_t d = 0; d < head_dim; d++) {
        struct kv_quant_int4 c = kv_quant_int4_range(k_rows + d, PAGE_TOKENS, head_dim);
        k_scale[d] = c.scale;
        k_scale[head_dim + d] = c.min;
        for (uint32_t t = 0; t < PAGE_TOKENS; t++)
            k[kv_layout_k4(head_dim, t, d)] |=
                (uint8_t)(kv_quant_int4(k_rows[(size_t)t * head_dim + d], c)
                          << kv_layout_k4_shift(t));
    }
    for (uint32_t t = 0; t < PAGE_TOKENS; t++) {
        const float *row = v_rows + (size_t)t * head_dim;
        struct kv_quant_int4 c = kv_quant_int4_range(row, head_dim, 1);
        v_scale[t] = c.scale;
        v_scale[PAGE_TOKENS + t] = c.min;
        for (uint32_t d = 0; d < head_dim; d++)
            v[kv_layout_v4(head_dim, t, d)] |=
                (uint8_t)(kv_quant_int4(row[d], c) << kv_layout_v4_shift(t));
    }
}

static const struct kv_format_ops FORMATS[KV_FORMAT_COUNT] = {
    [KV_F32] = {"f32", f32_get_k, f32_get_v, f32_put_k, f32_put_v, f32_seal},
    [KV_F16] = {"f16", f16_get_k, f16_get_v, f16_put_k, f16_put_v, f16_seal},
    [KV_INT8] = {"int8", int8_get_k, int8_get_v, NULL, NULL, int8_seal},
    [KV_INT4] = {"int4", int4_get_k, int4_get_v, NULL, NULL, int4_seal},
};

const struct kv_format_ops *kv_format_ops(enum kv_format format)
{
    return (unsigned)format < KV_FORMAT_COUNT ? &FORMATS[format] : NULL;
}

enum status kv_format_parse(const char *name, enum kv_format *out, struct err *err)
{
    for (unsigned i = 0; i < KV_FORMAT_COUNT; i++)
        if (strcmp(name, FORMATS[i].name) == 0) {
            *out = (enum kv_format)i;
            return ST_OK;
        }
    return err_set(err, ST_NOT_FOUND, "'%.40s' is not a KV format: f32, f16, int8 or int4", name);
}
