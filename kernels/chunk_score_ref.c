#include "kernels/chunk_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/kv_layout.h"

/* mean[D] of chunk c of head g. */
static void chunk_mean(const struct chunk_score_args *a, uint32_t g, uint32_t c, double *mean)
{
    const struct kv_view *view = a->view;
    uint32_t D = view->shape.head_dim;
    float row[KV_MAX_HEAD_DIM];

    for (uint32_t d = 0; d < D; d++)
        mean[d] = 0.0;
    for (uint32_t t = c * a->chunk; t < (c + 1) * a->chunk; t++) {
        uint32_t page = t / PAGE_TOKENS;
        bool sealed = kv_view_reads_sealed(view, page, a->limit);
        enum kv_format format = sealed ? view->sealed_format : view->tail_format;
        const void *in = sealed ? view->sealed[page] : view->tail[page];
        kv_format_ops(format)->get_k(kv_layout_head(in, format, view->shape, g), D, t % PAGE_TOKENS,
                                     row);
        for (uint32_t d = 0; d < D; d++)
            mean[d] += (double)row[d] / a->chunk;
    }
}

/* score[c] += softmax(s)[c] / group over c in [first, n) */
static void add_softmax(float *score, const double *s, uint32_t first, uint32_t n, uint32_t group)
{
    double max = -INFINITY, sum = 0.0;

    for (uint32_t c = first; c < n; c++)
        max = fmax(max, s[c]);
    for (uint32_t c = first; c < n; c++)
        sum += exp(s[c] - max);
    for (uint32_t c = first; c < n; c++)
        score[c] += (float)(exp(s[c] - max) / sum / group);
}

void chunk_score_ref(const struct chunk_score_args *a)
{
    uint32_t D = a->view->shape.head_dim, n_kv = a->view->shape.n_kv_heads;
    uint32_t group = (uint32_t)a->n_heads / n_kv, n = a->n_chunks;
    double *s = mem_array((size_t)group * n, sizeof *s);
    double mean[KV_MAX_HEAD_DIM];

    for (uint32_t g = 0; g < n_kv && n > 0; g++) {
        memset(a->score + (size_t)g * n, 0, n * sizeof *a->score);
        for (uint32_t c = a->first_chunk; c < n; c++) {
            chunk_mean(a, g, c, mean);
            for (uint32_t j = 0; j < group; j++) {
                const float *q = a->q + ((size_t)g * group + j) * D;
                double dot = 0.0;
                for (uint32_t d = 0; d < D; d++)
                    dot += (double)q[d] * mean[d];
                s[(size_t)j * n + c] = (double)a->scale * dot;
            }
        }
        for (uint32_t j = 0; j < group; j++)
            add_softmax(a->score + (size_t)g * n, s + (size_t)j * n, a->first_chunk, n, group);
    }
    free(s);
}
