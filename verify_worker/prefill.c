#include "verify_worker/prefill.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/trace.h"
#include "kernels/ops.h"
#include "verify_worker/snapshot.h"

/* Device pages of all layers while the prompt is computed. */
struct prefill {
    const struct prefill_args *args;
    const struct model_config *cfg;
    struct kv_shape shape;
    size_t page_bytes;
    uint32_t n_pages; /* the last one may be partial */
    uint8_t **layer;  /* [n_layers] device memory, [n_pages] pages */
    void **page;      /* [n_pages] of the layer at hand */
    const void **none;
    uint32_t *limit; /* [PREFILL_CHUNK] */
    const float *cos, *sin;
    float *query;  /* [n_layers, n_heads, head_dim], host */
    float *logits; /* [n_vocab], host */
};

static enum status attend(void *self, const struct model_attend_args *a, struct err *err)
{
    struct prefill *p = self;
    struct device *dev = p->args->dev;
    const struct device_ops *ops = device_ops(dev);
    int n_heads = (int)p->cfg->n_heads, n_kv = (int)p->cfg->n_kv_heads;
    int dim = (int)p->cfg->head_dim;
    struct rope_args rope = {a->q, p->cos, p->sin, a->pos, a->n_rows, n_heads, dim};
    struct kv_view view = {p->shape,   p->args->base, p->args->base,
                           p->n_pages, p->none,       (const void *const *)p->page};
    struct kv_write_args write = {p->page, p->args->base, p->shape, a->k, a->v, a->pos, a->n_rows};
    struct attention_args attention = {
        .out = a->out,
        .q = a->q,
        .limit = p->limit,
        .n_rows = a->n_rows,
        .n_heads = n_heads,
        .scale = 1.0f / sqrtf((float)dim),
        .view = &view,
        .window = model_config_window(p->cfg, (uint32_t)a->layer),
    };
    enum status st;

    for (uint32_t i = 0; i < p->n_pages; i++)
        p->page[i] = p->layer[a->layer] + i * p->page_bytes;
    for (int r = 0; r < a->n_rows; r++)
        p->limit[r] = a->pos[r] + 1;
    st = ops->rope(dev, &rope, err);
    rope.x = a->k;
    rope.n_heads = n_kv;
    if (st == ST_OK)
        st = ops->rope(dev, &rope, err);
    if (st == ST_OK)
        st = ops->kv_write(dev, &write, err);
    if (st == ST_OK)
        st = ops->attention(dev, &attention, err);
    if (st == ST_OK && a->pos[a->n_rows - 1] + 1 == p->args->n_tokens) {
        size_t n = (size_t)n_heads * (size_t)dim;
        st = device_download(dev, p->query + (size_t)a->layer * n,
                             a->q + (size_t)(a->n_rows - 1) * n, n * sizeof(float), err);
    }
    return st;
}

static enum status run_chunks(struct prefill *p, struct err *err)
{
    const struct prefill_args *a = p->args;
    uint32_t pos[PREFILL_CHUNK];
    enum status st = ST_OK;

    for (uint32_t done = 0; st == ST_OK && done < a->n_tokens;) {
        uint32_t n = a->n_tokens - done < PREFILL_CHUNK ? a->n_tokens - done : PREFILL_CHUNK;
        bool last = done + n == a->n_tokens;
        struct model_forward_args fwd = {.token = a->token + done,
                                         .pos = pos,
                                         .n_rows = (int)n,
                                         .cache = {p, attend},
                                         .logits = last ? p->logits : NULL,
                                         .logits_from = (int)n - 1};
        uint64_t span = trace_begin(TRACE_CHUNK);
        for (uint32_t i = 0; i < n; i++)
            pos[i] = done + i;
        st = model_forward(a->model, &fwd, err);
        trace_end(TRACE_CHUNK, span, done, n);
        done += n;
        if (st == ST_OK && a->progress != NULL)
            st = a->progress(a->progress_self, done, a->n_tokens, err);
    }
    return st;
}

/* Full pages into reserved pages of the store, the rest into the blob. */
static enum status store_layers(struct prefill *p, const struct msg_page_map *map, uint8_t *blob,
                                struct err *err)
{
    struct device *dev = p->args->dev;
    uint32_t n_full = p->args->n_tokens / PAGE_TOKENS;
    struct snapshot parts;
    uint64_t hash = 0;
    enum status st = ST_OK;

    for (uint32_t i = 0; i < p->args->n_tokens; i++)
        hash = msg_prefix_hash(hash, p->args->token[i]);
    snapshot_layout(&parts, p->cfg, p->args->base, p->args->n_tokens, hash, blob);
    for (uint32_t l = 0; st == ST_OK && l < p->cfg->n_layers; l++) {
        kv_client_pages(p->args->store, map, l, 0, n_full, p->page);
        for (uint32_t i = 0; st == ST_OK && i < n_full; i++)
            st = device_download(dev, p->page[i], p->layer[l] + i * p->page_bytes, p->page_bytes,
                                 err);
        if (st == ST_OK && n_full < p->n_pages)
            st = device_download(dev, (uint8_t *)(uintptr_t)parts.tail + l * p->page_bytes,
                                 p->layer[l] + n_full * p->page_bytes, p->page_bytes, err);
    }
    memcpy((void *)(uintptr_t)parts.query, p->query,
           (size_t)p->cfg->n_layers * p->cfg->n_heads * p->cfg->head_dim * sizeof(float));
    memcpy((void *)(uintptr_t)parts.logits, p->logits, p->cfg->n_vocab * sizeof(float));
    return st;
}

static enum status make_snapshot(struct prefill *p, uint64_t *seq, uint64_t *bytes, struct err *err)
{
    struct kv_client *store = p->args->store;
    struct msg_create_seq create = {.first_layer = 0,
                                    .n_layers = p->cfg->n_layers,
                                    .format = p->args->base,
                                    .page_bytes = p->page_bytes,
                                    .blob_bytes = snapshot_blob_bytes(p->cfg, p->args->base),
                                    .keep = true};
    uint32_t n_full = p->args->n_tokens / PAGE_TOKENS;
    struct msg_page_map map = {0};
    struct msg_seq made = {0};
    struct err ignored = {{0}};
    enum status st;

    st = kv_client_create(store, &create, &made, err);
    if (st != ST_OK)
        return err_in(err, st, "creating a snapshot");
    st = kv_client_reserve(store, made.seq, n_full, &map, err);
    if (st == ST_OK)
        st = store_layers(p, &map, (uint8_t *)kv_client_base(store) + made.blob_offset, err);
    if (st == ST_OK)
        st = kv_client_commit(store, &map, true, err);
    kv_map_release(&map);
    if (st != ST_OK) {
        (void)kv_client_drop(store, made.seq, &ignored);
        return err_in(err, st, "storing a snapshot of %u tokens", p->args->n_tokens);
    }
    *seq = made.seq;
    *bytes = create.blob_bytes + (uint64_t)n_full * p->cfg->n_layers * p->page_bytes;
    return ST_OK;
}

static enum status prefill_open(struct prefill *p, struct err *err)
{
    enum status st;
    void *mem;

    p->cfg = model_config(p->args->model);
    p->shape = snapshot_shape(p->cfg);
    p->page_bytes = kv_page_bytes(p->args->base, p->shape);
    p->n_pages = (p->args->n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    p->layer = mem_array(p->cfg->n_layers, sizeof *p->layer);
    p->page = mem_array(p->n_pages, sizeof *p->page);
    p->none = mem_array(p->n_pages, sizeof *p->none);
    p->limit = mem_array(PREFILL_CHUNK, sizeof *p->limit);
    p->query =
        mem_array((size_t)p->cfg->n_layers * p->cfg->n_heads * p->cfg->head_dim, sizeof *p->query);
    p->logits = mem_array(p->cfg->n_vocab, sizeof *p->logits);
    st = model_rope_tables(p->args->model, p->args->n_tokens, &p->cos, &p->sin, err);
    for (uint32_t l = 0; st == ST_OK && l < p->cfg->n_layers; l++) {
        st = device_alloc(p->args->dev, DEVICE_SCRATCH, p->n_pages * p->page_bytes, &mem, err);
        if (st == ST_OK)
            p->layer[l] = mem;
    }
    return st;
}

static void prefill_close(struct prefill *p)
{
    for (uint32_t l = 0; l < p->cfg->n_layers; l++)
        device_free(p->args->dev, p->layer[l]);
    free(p->layer);
    free(p->page);
    free(p->none);
    free(p->limit);
    free(p->query);
    free(p->logits);
}

enum status prefill_run(const struct prefill_args *args, uint64_t *seq, uint64_t *bytes,
                        struct err *err)
{
    struct prefill p = {.args = args};
    uint64_t span, part;
    enum status st;

    CHECK(args->n_tokens > 0);
    st = model_config_check_length(model_config(args->model), args->n_tokens, err);
    if (st != ST_OK)
        return st;
    span = trace_begin(TRACE_PREFILL);
    st = prefill_open(&p, err);
    if (st == ST_OK)
        st = run_chunks(&p, err);
    part = trace_begin(TRACE_SNAPSHOT);
    if (st == ST_OK)
        st = make_snapshot(&p, seq, bytes, err);
    trace_end(TRACE_SNAPSHOT, part, st == ST_OK ? *bytes : 0, 0);
    prefill_close(&p);
    trace_end(TRACE_PREFILL, span, args->n_tokens, args->prompt);
    return st;
}
