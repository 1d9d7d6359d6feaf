#include "kernels/kv_seal.h"

#include <stdlib.h>

#include "common/mem.h"
#include "kernels/kv_layout.h"

static void add_error(const struct kv_seal_args *a, const void *out, const float *k, const float *v)
{
    const struct kv_format_ops *to = kv_format_ops(a->to_format);
    uint32_t D = a->shape.head_dim;
    float row[KV_MAX_HEAD_DIM];

    for (uint32_t i = 0; i < PAGE_TOKENS * D; i++) {
        if (i % D == 0 && a->k_error != NULL)
            to->get_k(out, D, i / D, row);
        if (a->k_error != NULL) {
            double e = (double)k[i] - (double)row[i % D];
            a->k_error[0] += e * e;
            a->k_error[1] += (double)k[i] * (double)k[i];
        }
    }
    for (uint32_t i = 0; i < PAGE_TOKENS * D; i++) {
        if (i % D == 0 && a->v_error != NULL)
            to->get_v(out, D, i / D, row);
        if (a->v_error != NULL) {
            double e = (double)v[i] - (double)row[i % D];
            a->v_error[0] += e * e;
            a->v_error[1] += (double)v[i] * (double)v[i];
        }
    }
}

void kv_seal_ref(const struct kv_seal_args *a)
{
    const struct kv_format_ops *from = kv_format_ops(a->from_format);
    const struct kv_format_ops *to = kv_format_ops(a->to_format);
    uint32_t D = a->shape.head_dim;
    float *k = mem_array((size_t)PAGE_TOKENS * D, sizeof *k);
    float *v = mem_array((size_t)PAGE_TOKENS * D, sizeof *v);

    for (int p = 0; p < a->n_pages; p++) {
        for (uint32_t h = 0; h < a->shape.n_kv_heads; h++) {
            const void *in = kv_layout_head(a->in[p], a->from_format, a->shape, h);
            void *out = kv_layout_head_mut(a->out[p], a->to_format, a->shape, h);
            for (uint32_t t = 0; t < PAGE_TOKENS; t++) {
                from->get_k(in, D, t, k + (size_t)t * D);
                from->get_v(in, D, t, v + (size_t)t * D);
            }
            to->seal(out, D, k, v);
            add_error(a, out, k, v);
        }
    }
    free(k);
    free(v);
}
