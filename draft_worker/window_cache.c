#include "draft_worker/window_cache.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "kernels/ops.h"

struct window_cache {
    struct device *dev;
    const struct model_config *cfg;
    uint32_t n_sinks, n_window, n_ring;
    size_t row_floats; /* n_kv_heads * head_dim */
    float *mem;        /* device, [n_layers][2][n_sinks + n_ring][row_floats] */
    const float *cos, *sin;
};

static size_t layer_floats(const struct window_cache *c)
{
    return 2 * (size_t)(c->n_sinks + c->n_ring) * c->row_floats;
}

enum status window_cache_open(struct window_cache **out, struct device *dev, struct model *model,
                              uint32_t n_sinks, uint32_t n_window, struct err *err)
{
    struct window_cache *c = mem_zalloc(sizeof *c);
    void *mem = NULL;
    enum status st;

    c->dev = dev;
    c->cfg = model_config(model);
    c->n_sinks = n_sinks;
    c->n_window = n_window;
    c->n_ring = n_window + WINDOW_SLACK;
    c->row_floats = (size_t)c->cfg->n_kv_heads * c->cfg->head_dim;
    st = model_rope_tables(model, n_sinks + n_window, &c->cos, &c->sin, err);
    if (st == ST_OK)
        st = device_alloc(dev, DEVICE_KV_DRAFT, window_cache_bytes(c), &mem, err);
    if (st != ST_OK) {
        window_cache_close(c);
        return err_in(err, st, "opening the draft's cache");
    }
    c->mem = mem;
    *out = c;
    return ST_OK;
}

void window_cache_close(struct window_cache *c)
{
    if (c == NULL)
        return;
    device_free(c->dev, c->mem);
    free(c);
}

uint32_t window_cache_n_sinks(const struct window_cache *c)
{
    return c->n_sinks;
}

size_t window_cache_bytes(const struct window_cache *c)
{
    return c->cfg->n_layers * layer_floats(c) * sizeof(float);
}

static uint32_t slot_of(const struct window_cache *c, uint32_t pos)
{
    return pos < c->n_sinks ? pos : c->n_sinks + (pos - c->n_sinks) % c->n_ring;
}

/* The model's own window of the layer, where it is the shorter one. */
static uint32_t window_of(const struct window_cache *c, int layer)
{
    uint32_t own = model_config_window(c->cfg, (uint32_t)layer);

    return own > 0 && own < c->n_window ? own : c->n_window;
}

static enum status attend(void *self, const struct model_attend_args *a, struct err *err)
{
    struct window_cache *c = self;
    float *k = c->mem + (size_t)a->layer * layer_floats(c);
    float *v = k + layer_floats(c) / 2;
    struct window_attention_args args = {.out = a->out,
                                         .q = a->q,
                                         .k = k,
                                         .v = v,
                                         .cos = c->cos,
                                         .sin = c->sin,
                                         .pos = a->pos,
                                         .n_rows = a->n_rows,
                                         .n_heads = (int)c->cfg->n_heads,
                                         .n_kv_heads = (int)c->cfg->n_kv_heads,
                                         .head_dim = (int)c->cfg->head_dim,
                                         .n_sinks = c->n_sinks,
                                         .n_window = window_of(c, a->layer),
                                         .n_ring = c->n_ring,
                                         .scale = 1.0f / sqrtf((float)c->cfg->head_dim)};
    uint32_t slot[WINDOW_SLACK];
    struct ring_write_args write = {k, v, a->k, a->v, slot, a->n_rows, (int)c->row_floats};
    enum status st;

    CHECK(a->n_rows <= WINDOW_SLACK);
    for (int r = 0; r < a->n_rows; r++)
        slot[r] = slot_of(c, a->pos[r]);
    st = device_ops(c->dev)->ring_write(c->dev, &write, err);
    return st == ST_OK ? device_ops(c->dev)->window_attention(c->dev, &args, err) : st;
}

struct model_cache window_cache_interface(struct window_cache *c)
{
    return (struct model_cache){c, attend};
}

uint32_t window_cache_first_needed(const struct window_cache *c, uint32_t n_tokens)
{
    uint64_t reach = (uint64_t)c->cfg->n_layers * c->n_window;

    if (n_tokens <= reach + c->n_sinks)
        return c->n_sinks < n_tokens ? c->n_sinks : n_tokens;
    return n_tokens - (uint32_t)reach;
}

enum status window_cache_save(struct window_cache *c, void *host, struct err *err)
{
    return device_download(c->dev, host, c->mem, window_cache_bytes(c), err);
}

enum status window_cache_restore(struct window_cache *c, const void *host, struct err *err)
{
    return device_upload(c->dev, c->mem, host, window_cache_bytes(c), err);
}
