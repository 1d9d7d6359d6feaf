/*
 * flat_cache.h - the plainest KV cache: every token in f32, keys rotated when they come in,
 * attention in plain loops with sums in double. For tests on the cpu device, whose memory is
 * host memory.
 */
#ifndef TESTS_MODEL_FLAT_CACHE_H
#define TESTS_MODEL_FLAT_CACHE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/rope.h"
#include "model/model.h"

struct flat_cache {
    const struct model_config *cfg;
    const float *cos, *sin;
    uint32_t n_positions;
    float *k, *v; /* [n_layers, n_positions, n_kv_heads, head_dim] */
};

static inline float *flat_cache_row(const struct flat_cache *c, float *side, int layer,
                                    uint32_t pos)
{
    size_t row = (size_t)c->cfg->n_kv_heads * c->cfg->head_dim;

    return side + ((size_t)layer * c->n_positions + pos) * row;
}

static inline void flat_cache_head(const struct flat_cache *c, int layer, uint32_t pos,
                                   uint32_t head, const float *q, float *out)
{
    uint32_t d = c->cfg->head_dim, window = model_config_window(c->cfg, (uint32_t)layer);
    uint32_t first = window > 0 && pos + 1 > window ? pos + 1 - window : 0;
    size_t at = (size_t)(head / (c->cfg->n_heads / c->cfg->n_kv_heads)) * d;
    double *p = calloc((size_t)pos + 1, sizeof *p);
    double max = -INFINITY, sum = 0;

    for (uint32_t t = first; t <= pos; t++) {
        const float *k = flat_cache_row(c, c->k, layer, t) + at;
        for (uint32_t i = 0; i < d; i++)
            p[t] += (double)q[i] * k[i];
        p[t] /= sqrt((double)d);
        max = p[t] > max ? p[t] : max;
    }
    for (uint32_t t = first; t <= pos; t++)
        sum += p[t] = exp(p[t] - max);
    for (uint32_t i = 0; i < d; i++) {
        double acc = 0;
        for (uint32_t t = first; t <= pos; t++)
            acc += p[t] * flat_cache_row(c, c->v, layer, t)[at + i];
        out[i] = (float)(acc / sum);
    }
    free(p);
}

static inline enum status flat_cache_attend(void *self, const struct model_attend_args *a,
                                            struct err *err)
{
    struct flat_cache *c = self;
    uint32_t n_heads = c->cfg->n_heads, d = c->cfg->head_dim;
    size_t row = (size_t)c->cfg->n_kv_heads * d;
    struct rope_args rope = {.x = a->q,
                             .cos = c->cos,
                             .sin = c->sin,
                             .pos = a->pos,
                             .n_rows = a->n_rows,
                             .n_heads = (int)n_heads,
                             .head_dim = (int)d};

    for (int r = 0; r < a->n_rows; r++) {
        if (a->pos[r] >= c->n_positions)
            return err_set(err, ST_NO_SPACE, "position %u", a->pos[r]);
    }
    rope_ref(&rope);
    rope.x = a->k;
    rope.n_heads = (int)c->cfg->n_kv_heads;
    rope_ref(&rope);
    for (int r = 0; r < a->n_rows; r++) {
        memcpy(flat_cache_row(c, c->k, a->layer, a->pos[r]), a->k + r * row, row * sizeof(float));
        memcpy(flat_cache_row(c, c->v, a->layer, a->pos[r]), a->v + r * row, row * sizeof(float));
    }
    for (int r = 0; r < a->n_rows; r++) {
        for (uint32_t h = 0; h < n_heads; h++) {
            size_t at = ((size_t)r * n_heads + h) * d;
            flat_cache_head(c, a->layer, a->pos[r], h, a->q + at, a->out + at);
        }
    }
    return ST_OK;
}

static inline enum status flat_cache_init(struct flat_cache *c, struct model *model,
                                          uint32_t n_positions, struct err *err)
{
    size_t n;

    memset(c, 0, sizeof *c);
    c->cfg = model_config(model);
    c->n_positions = n_positions;
    n = (size_t)c->cfg->n_layers * n_positions * c->cfg->n_kv_heads * c->cfg->head_dim;
    c->k = calloc(n, sizeof *c->k);
    c->v = calloc(n, sizeof *c->v);
    return model_rope_tables(model, n_positions, &c->cos, &c->sin, err);
}

static inline void flat_cache_release(struct flat_cache *c)
{
    free(c->k);
    free(c->v);
}

/* Logits of `n` tokens at positions pos0.., `rows` at a time; logits is [n, n_vocab]. */
static inline enum status flat_cache_run(struct flat_cache *c, struct model *model,
                                         const int32_t *token, uint32_t pos0, int n, int rows,
                                         float *logits, struct err *err)
{
    enum status st = ST_OK;

    for (int at = 0; st == ST_OK && at < n; at += rows) {
        int left = n - at < rows ? n - at : rows;
        uint32_t *pos = calloc((size_t)left, sizeof *pos);
        struct model_forward_args args = {.token = token + at,
                                          .pos = pos,
                                          .n_rows = left,
                                          .cache = {.self = c, .attend = flat_cache_attend},
                                          .logits = logits + (size_t)at * c->cfg->n_vocab};
        for (int r = 0; r < left; r++)
            pos[r] = pos0 + (uint32_t)(at + r);
        st = model_forward(model, &args, err);
        free(pos);
    }
    return st;
}

#endif
