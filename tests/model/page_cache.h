/*
 * page_cache.h - a KV cache of f32 pages through the device's own operations, for tests that
 * compare logits: what prefill and decode run, without rounding of K and V. It may begin at any
 * position. For tests on the cpu device, whose memory is host memory.
 */
#ifndef TESTS_MODEL_PAGE_CACHE_H
#define TESTS_MODEL_PAGE_CACHE_H

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "kernels/ops.h"
#include "model/model.h"

struct page_cache {
    struct device *dev;             /* borrowed */
    struct model *model;            /* borrowed */
    const struct model_config *cfg; /* borrowed */
    struct kv_shape shape;
    uint32_t pos0; /* of the first token */
    uint32_t n_pages;
    uint8_t *bytes; /* [n_layers, n_pages] f32 pages */
    void **page;    /* [n_pages] of the layer at hand */
    const void **none;
    const float *cos, *sin;
};

/* n_tokens from position pos0 on. */
static inline enum status page_cache_open(struct page_cache *c, struct device *dev,
                                          struct model *model, uint32_t pos0, uint32_t n_tokens,
                                          struct err *err)
{
    const struct model_config *cfg = model_config(model);

    *c = (struct page_cache){.dev = dev, .model = model, .cfg = cfg, .pos0 = pos0};
    c->shape = (struct kv_shape){.n_kv_heads = cfg->n_kv_heads, .head_dim = cfg->head_dim};
    c->n_pages = (n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    c->bytes = mem_zalloc(cfg->n_layers * c->n_pages * kv_page_bytes(KV_F32, c->shape));
    c->page = mem_array(c->n_pages, sizeof *c->page);
    c->none = mem_array(c->n_pages, sizeof *c->none);
    return model_rope_tables(model, pos0 + n_tokens, &c->cos, &c->sin, err);
}

static inline void page_cache_close(struct page_cache *c)
{
    free(c->bytes);
    free(c->page);
    free(c->none);
}

static inline enum status page_cache_rotate(struct page_cache *c, const struct model_attend_args *a,
                                            struct err *err)
{
    struct rope_args rope = {
        a->q, c->cos, c->sin, a->pos, a->n_rows, (int)c->cfg->n_heads, (int)c->cfg->head_dim};
    enum status st = device_ops(c->dev)->rope(c->dev, &rope, err);

    rope.x = a->k;
    rope.n_heads = (int)c->cfg->n_kv_heads;
    return st == ST_OK ? device_ops(c->dev)->rope(c->dev, &rope, err) : st;
}

static inline enum status page_cache_attend(void *self, const struct model_attend_args *a,
                                            struct err *err)
{
    struct page_cache *c = self;
    size_t page_bytes = kv_page_bytes(KV_F32, c->shape);
    uint32_t *slot = mem_array((size_t)a->n_rows, sizeof *slot);
    uint32_t *limit = mem_array((size_t)a->n_rows, sizeof *limit);
    struct kv_view view = {c->shape,   KV_F32,  KV_F32,
                           c->n_pages, c->none, (const void *const *)c->page};
    struct kv_write_args write = {c->page, KV_F32, c->shape, a->k, a->v, slot, a->n_rows};
    struct attention_args attention = {.out = a->out,
                                       .q = a->q,
                                       .limit = limit,
                                       .n_rows = a->n_rows,
                                       .n_heads = (int)c->cfg->n_heads,
                                       .scale = 1.0f / sqrtf((float)c->cfg->head_dim),
                                       .view = &view,
                                       .window = model_config_window(c->cfg, (uint32_t)a->layer)};
    enum status st = page_cache_rotate(c, a, err);

    for (uint32_t p = 0; p < c->n_pages; p++)
        c->page[p] = c->bytes + ((size_t)a->layer * c->n_pages + p) * page_bytes;
    for (int r = 0; r < a->n_rows; r++) {
        slot[r] = a->pos[r] - c->pos0;
        limit[r] = slot[r] + 1;
    }
    if (st == ST_OK)
        st = device_ops(c->dev)->kv_write(c->dev, &write, err);
    if (st == ST_OK)
        st = device_ops(c->dev)->attention(c->dev, &attention, err);
    free(slot);
    free(limit);
    return st;
}

/* Logits [n, n_vocab] of n tokens, the first of which is token `at` of the cache. */
static inline enum status page_cache_run(struct page_cache *c, const int32_t *token, uint32_t at,
                                         uint32_t n, float *logits, struct err *err)
{
    uint32_t *pos = mem_array(n, sizeof *pos);
    struct model_forward_args args = {.token = token,
                                      .pos = pos,
                                      .n_rows = (int)n,
                                      .cache = {.self = c, .attend = page_cache_attend},
                                      .logits = logits};
    enum status st;

    for (uint32_t i = 0; i < n; i++)
        pos[i] = c->pos0 + at + i;
    st = model_forward(c->model, &args, err);
    free(pos);
    return st;
}

#endif
