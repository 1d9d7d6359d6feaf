#include "verify_worker/target_cache.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "kernels/ops.h"

struct target_cache {
    struct device *dev;
    const struct model_config *cfg;
    struct placement *placement;
    struct kv_shape shape;
    enum kv_format base;
    size_t page_bytes; /* of the base format */
    uint32_t max_pages, end;
    uint32_t n_rows;             /* of the pass at hand */
    uint8_t *tail;               /* device, [n_layers][TAIL_PAGES] pages */
    void ***tail_page;           /* [n_layers][max_pages]; NULL outside the tail */
    uint32_t tail_from, tail_to; /* pages whose tail_page is set: [from, to) */
    const void **sealed_page;    /* [max_pages] of the layer at hand */
    uint32_t limit[MSG_MAX_ROWS];
    const float *cos, *sin;
};

static uint32_t first_tail_page(uint32_t end)
{
    uint32_t page = end / PAGE_TOKENS;
    return page > 0 ? page - 1 : 0;
}

/* Pages that a row at position `last` reads sealed, if they are not NULL. */
static uint32_t sealed_below(uint32_t last)
{
    uint32_t page = last / PAGE_TOKENS;
    return page > 0 ? page - 1 : 0;
}

static void set_tail(struct target_cache *c, uint32_t from, uint32_t to)
{
    CHECK(to - from <= TAIL_PAGES && to <= c->max_pages);
    for (uint32_t l = 0; l < c->cfg->n_layers; l++) {
        for (uint32_t p = c->tail_from; p < c->tail_to; p++)
            c->tail_page[l][p] = NULL;
        for (uint32_t p = from; p < to; p++)
            c->tail_page[l][p] = c->tail + (l * TAIL_PAGES + p % TAIL_PAGES) * c->page_bytes;
    }
    c->tail_from = from;
    c->tail_to = to;
}

/* The last full page and the partial one of the prompt. */
static enum status fill_tail(struct target_cache *c, const struct snapshot *s, struct err *err)
{
    uint32_t n_full = c->end / PAGE_TOKENS;
    enum status st = ST_OK;

    set_tail(c, first_tail_page(c->end), c->end / PAGE_TOKENS + 1);
    for (uint32_t l = 0; st == ST_OK && l < c->cfg->n_layers; l++) {
        st = device_upload(c->dev, c->tail_page[l][n_full], s->tail + l * c->page_bytes,
                           c->page_bytes, err);
        if (st == ST_OK && n_full > 0)
            st = device_upload(c->dev, c->tail_page[l][n_full - 1], snapshot_page(s, l, n_full - 1),
                               c->page_bytes, err);
    }
    return st;
}

/* No later pass reads what lies before the window of a row behind `end`. */
static void pass_over_pages(struct target_cache *c)
{
    for (uint32_t l = 0; l < c->cfg->n_layers; l++) {
        uint32_t first = attention_first(c->end + 1, model_config_window(c->cfg, l));
        placement_pass_over(c->placement, l, first / PAGE_TOKENS);
    }
}

enum status target_cache_open(struct target_cache **out, struct device *dev, struct model *model,
                              struct placement *placement, const struct snapshot *snapshot,
                              uint32_t max_tokens, struct err *err)
{
    struct target_cache *c = mem_zalloc(sizeof *c);
    void *mem = NULL;
    enum status st;

    c->dev = dev;
    c->cfg = model_config(model);
    c->placement = placement;
    c->shape = snapshot_shape(c->cfg);
    c->base = (enum kv_format)snapshot->head.base_format;
    c->page_bytes = kv_page_bytes(c->base, c->shape);
    c->max_pages = (max_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS + 1;
    c->end = snapshot->head.n_tokens;
    c->sealed_page = mem_array(c->max_pages, sizeof *c->sealed_page);
    c->tail_page = mem_array(c->cfg->n_layers, sizeof *c->tail_page);
    for (uint32_t l = 0; l < c->cfg->n_layers; l++)
        c->tail_page[l] = mem_array(c->max_pages, sizeof **c->tail_page);
    st = model_rope_tables(model, max_tokens, &c->cos, &c->sin, err);
    if (st == ST_OK)
        st = device_alloc(dev, DEVICE_KV_TAIL, target_cache_tail_bytes(c), &mem, err);
    c->tail = mem;
    pass_over_pages(c);
    if (st == ST_OK)
        st = fill_tail(c, snapshot, err);
    if (st != ST_OK) {
        target_cache_close(c);
        return err_in(err, st, "opening the target's cache");
    }
    *out = c;
    return ST_OK;
}

void target_cache_close(struct target_cache *c)
{
    if (c == NULL)
        return;
    for (uint32_t l = 0; l < c->cfg->n_layers; l++)
        free(c->tail_page[l]);
    free(c->tail_page);
    free(c->sealed_page);
    device_free(c->dev, c->tail);
    free(c);
}

uint32_t target_cache_end(const struct target_cache *c)
{
    return c->end;
}

size_t target_cache_tail_bytes(const struct target_cache *c)
{
    return (size_t)c->cfg->n_layers * TAIL_PAGES * c->page_bytes;
}

void target_cache_begin(struct target_cache *c, uint32_t n_rows)
{
    CHECK(n_rows > 0 && n_rows <= MSG_MAX_ROWS);
    c->n_rows = n_rows;
    set_tail(c, first_tail_page(c->end), (c->end + n_rows - 1) / PAGE_TOKENS + 1);
    for (uint32_t r = 0; r < n_rows; r++)
        c->limit[r] = c->end + r + 1;
}

static enum status write_rows(struct target_cache *c, const struct model_attend_args *a,
                              struct err *err)
{
    const struct device_ops *ops = device_ops(c->dev);
    struct rope_args rope = {
        a->q, c->cos, c->sin, a->pos, a->n_rows, (int)c->cfg->n_heads, (int)c->cfg->head_dim};
    struct kv_write_args write = {
        c->tail_page[a->layer], c->base, c->shape, a->k, a->v, a->pos, a->n_rows};
    enum status st;

    st = ops->rope(c->dev, &rope, err);
    rope.x = a->k;
    rope.n_heads = (int)c->cfg->n_kv_heads;
    if (st == ST_OK)
        st = ops->rope(c->dev, &rope, err);
    return st == ST_OK ? ops->kv_write(c->dev, &write, err) : st;
}

static enum status attend(void *self, const struct model_attend_args *a, struct err *err)
{
    struct target_cache *c = self;
    uint32_t layer = (uint32_t)a->layer, last = c->end + c->n_rows - 1;
    uint32_t n_sealed = sealed_below(last);
    struct kv_view view = {c->shape, placement_format(c->placement, layer),
                           c->base,  last / PAGE_TOKENS + 1,
                           NULL,     (const void *const *)c->tail_page[layer]};
    struct attention_args attention = {a->out,
                                       a->q,
                                       c->limit,
                                       a->n_rows,
                                       (int)c->cfg->n_heads,
                                       1.0f / sqrtf((float)c->cfg->head_dim),
                                       &view,
                                       model_config_window(c->cfg, layer)};
    enum status st;

    CHECK(a->n_rows == (int)c->n_rows && a->pos[0] == c->end);
    st = write_rows(c, a, err);
    if (st == ST_OK)
        st = placement_take(c->placement, layer, n_sealed, &view.sealed, err);
    if (st != ST_OK)
        return st;
    for (uint32_t p = 0; p < view.n_pages; p++)
        c->sealed_page[p] = p < n_sealed ? view.sealed[p] : NULL;
    view.sealed = c->sealed_page;
    st = device_ops(c->dev)->attention(c->dev, &attention, err);
    return st == ST_OK ? placement_give(c->placement, layer, err) : st;
}

struct model_cache target_cache_interface(struct target_cache *c)
{
    return (struct model_cache){c, attend};
}

enum status target_cache_accept(struct target_cache *c, uint32_t n_tokens, struct err *err)
{
    const void **tail = mem_array(c->cfg->n_layers, sizeof *tail);
    enum status st = ST_OK;

    CHECK(n_tokens <= c->n_rows);
    c->end += n_tokens;
    pass_over_pages(c);
    while (st == ST_OK && placement_n_sealed(c->placement) < c->end / PAGE_TOKENS) {
        uint32_t page = placement_n_sealed(c->placement);
        for (uint32_t l = 0; l < c->cfg->n_layers; l++)
            tail[l] = c->tail_page[l][page];
        CHECK(tail[0] != NULL);
        st = placement_seal(c->placement, tail, err);
    }
    free(tail);
    return st;
}

enum status target_cache_stream_ahead(struct target_cache *c, uint32_t n_rows, struct err *err)
{
    return placement_ahead(c->placement, sealed_below(c->end + n_rows - 1), err);
}

enum status target_cache_view(struct target_cache *c, uint32_t layer, struct kv_view *out,
                              struct err *err)
{
    uint32_t n_full = placement_n_sealed(c->placement);
    const void *const *sealed;
    enum status st = placement_setup_pages(c->placement, layer, &sealed, err);

    if (st != ST_OK)
        return st;
    out->shape = c->shape;
    out->sealed_format = placement_format(c->placement, layer);
    out->tail_format = c->base;
    out->n_pages = (c->end + PAGE_TOKENS - 1) / PAGE_TOKENS;
    for (uint32_t p = 0; p < c->max_pages; p++)
        c->sealed_page[p] = p < n_full ? sealed[p] : NULL;
    out->sealed = c->sealed_page;
    out->tail = (const void *const *)c->tail_page[layer];
    return ST_OK;
}

void target_cache_tail_view(struct target_cache *c, uint32_t layer, struct kv_view *out)
{
    for (uint32_t p = 0; p < c->max_pages; p++)
        c->sealed_page[p] = NULL;
    out->shape = c->shape;
    out->sealed_format = out->tail_format = c->base;
    out->n_pages = c->max_pages;
    out->sealed = c->sealed_page;
    out->tail = (const void *const *)c->tail_page[layer];
}
