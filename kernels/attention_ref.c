#include "kernels/attention.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "kernels/kv_layout.h"

static void get_row(const struct kv_view *view, uint32_t limit, uint32_t t, uint32_t g, bool want_k,
                    float *row)
{
    uint32_t page = t / PAGE_TOKENS;
    bool sealed = kv_view_reads_sealed(view, page, limit);
    enum kv_format format = sealed ? view->sealed_format : view->tail_format;
    const struct kv_format_ops *ops = kv_format_ops(format);
    const void *head =
        kv_layout_head(sealed ? view->sealed[page] : view->tail[page], format, view->shape, g);

    (want_k ? ops->get_k : ops->get_v)(head, view->shape.head_dim, t % PAGE_TOKENS, row);
}

static void one_head(const struct attention_args *a, int r, int h, double *p)
{
    const struct kv_view *view = a->view;
    uint32_t D = view->shape.head_dim, limit = a->limit[r];
    uint32_t first = attention_first(limit, a->window);
    uint32_t g = (uint32_t)h / ((uint32_t)a->n_heads / view->shape.n_kv_heads);
    size_t at = ((size_t)r * (size_t)a->n_heads + (size_t)h) * D;
    double max = -INFINITY, sum = 0.0, acc[KV_MAX_HEAD_DIM] = {0};
    float row[KV_MAX_HEAD_DIM];

    for (uint32_t t = first; t < limit; t++) {
        get_row(view, limit, t, g, true, row);
        p[t] = 0.0;
        for (uint32_t d = 0; d < D; d++)
            p[t] += (double)a->q[at + d] * (double)row[d];
        p[t] *= (double)a->scale;
        max = fmax(max, p[t]);
    }
    for (uint32_t t = first; t < limit; t++) {
        p[t] = exp(p[t] - max);
        sum += p[t];
        get_row(view, limit, t, g, false, row);
        for (uint32_t d = 0; d < D; d++)
            acc[d] += p[t] * (double)row[d];
    }
    for (uint32_t d = 0; d < D; d++)
        a->out[at + d] = (float)(acc[d] / sum);
}

void attention_ref(const struct attention_args *a)
{
    uint32_t longest = 0;

    for (int r = 0; r < a->n_rows; r++)
        longest = a->limit[r] > longest ? a->limit[r] : longest;
    double *p = mem_array(longest, sizeof *p);
    for (int r = 0; r < a->n_rows; r++)
        for (int h = 0; h < a->n_heads; h++)
            one_head(a, r, h, p);
    free(p);
}
