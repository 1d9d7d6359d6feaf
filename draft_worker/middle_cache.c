#include "draft_worker/middle_cache.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/msg.h"
#include "kernels/ops.h"

struct middle_cache {
    struct middle_cache_args args;
    const struct model_config *cfg;
    struct kv_shape shape;
    size_t page_bytes;
    uint8_t *mem;      /* device address */
    void **page;       /* [layer_pages] of the layer at hand */
    const void **none; /* [layer_pages] */
    uint32_t slot[MSG_MAX_ROWS * 2], limit[MSG_MAX_ROWS * 2];
    const float *cos, *sin;
};

static enum status check_layout(const struct middle_cache *c, struct err *err)
{
    const struct middle_cache_args *a = &c->args;
    uint64_t slots = (uint64_t)a->n_selected + (a->max_tokens - a->n_prompt);
    uint64_t room = a->memory_bytes / ((uint64_t)c->cfg->n_layers * c->page_bytes);

    if (a->layer_pages > room || slots > (uint64_t)a->layer_pages * PAGE_TOKENS)
        return err_set(err, ST_CORRUPT,
                       "retrieval KV of %u pages a layer does not hold %llu tokens in %zu bytes",
                       a->layer_pages, (unsigned long long)slots, a->memory_bytes);
    return ST_OK;
}

enum status middle_cache_open(struct middle_cache **out, const struct middle_cache_args *args,
                              struct err *err)
{
    struct middle_cache *c = mem_zalloc(sizeof *c);
    const void *mem = NULL;
    enum status st;

    c->args = *args;
    c->cfg = model_config(args->model);
    c->shape = (struct kv_shape){c->cfg->n_kv_heads, c->cfg->head_dim};
    c->page_bytes = kv_page_bytes(args->format, c->shape);
    st = check_layout(c, err);
    if (st == ST_OK) {
        c->page = mem_array(args->layer_pages, sizeof *c->page);
        c->none = mem_array(args->layer_pages, sizeof *c->none);
        mem = args->memory;
        if (!args->is_device_memory)
            st = device_adopt(args->dev, DEVICE_KV_RETRIEVAL, args->memory,
                              (size_t)c->cfg->n_layers * args->layer_pages * c->page_bytes, &mem,
                              err);
    }
    c->mem = st == ST_OK ? (uint8_t *)(uintptr_t)mem : NULL;
    if (st == ST_OK)
        st = model_rope_tables(args->model, args->max_tokens, &c->cos, &c->sin, err);
    if (st != ST_OK) {
        middle_cache_close(c);
        return err_in(err, st, "opening the middle level's cache");
    }
    *out = c;
    return ST_OK;
}

void middle_cache_close(struct middle_cache *c)
{
    if (c == NULL)
        return;
    if (c->mem != NULL && !c->args.is_device_memory)
        device_drop(c->args.dev, c->mem);
    free(c->page);
    free(c->none);
    free(c);
}

static enum status attend(void *self, const struct model_attend_args *a, struct err *err)
{
    struct middle_cache *c = self;
    struct device *dev = c->args.dev;
    const struct device_ops *ops = device_ops(dev);
    struct rope_args rope = {
        a->q, c->cos, c->sin, a->pos, a->n_rows, (int)c->cfg->n_heads, (int)c->cfg->head_dim};
    struct kv_write_args write = {c->page, c->args.format, c->shape, a->k,
                                  a->v,    c->slot,        a->n_rows};
    struct kv_view view = {c->shape,       c->args.format,
                           c->args.format, c->args.layer_pages,
                           c->none,        (const void *const *)c->page};
    struct attention_args attention = {a->out,
                                       a->q,
                                       c->limit,
                                       a->n_rows,
                                       (int)c->cfg->n_heads,
                                       1.0f / sqrtf((float)c->cfg->head_dim),
                                       &view,
                                       model_config_window(c->cfg, (uint32_t)a->layer)};
    enum status st;

    CHECK(a->n_rows <= MSG_MAX_ROWS * 2);
    for (uint32_t i = 0; i < c->args.layer_pages; i++)
        c->page[i] = c->mem + ((size_t)a->layer * c->args.layer_pages + i) * c->page_bytes;
    for (int r = 0; r < a->n_rows; r++) {
        CHECK(a->pos[r] >= c->args.n_prompt && a->pos[r] < c->args.max_tokens);
        c->slot[r] = c->args.n_selected + a->pos[r] - c->args.n_prompt;
        c->limit[r] = c->slot[r] + 1;
    }
    st = ops->rope(dev, &rope, err);
    rope.x = a->k;
    rope.n_heads = (int)c->cfg->n_kv_heads;
    if (st == ST_OK)
        st = ops->rope(dev, &rope, err);
    if (st == ST_OK)
        st = ops->kv_write(dev, &write, err);
    return st == ST_OK ? ops->attention(dev, &attention, err) : st;
}

struct model_cache middle_cache_interface(struct middle_cache *c)
{
    return (struct model_cache){c, attend};
}
