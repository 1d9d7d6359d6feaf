#include "verify_worker/retrieval.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "kernels/ops.h"

struct retrieval {
    struct retrieval_args args;
    struct kv_shape shape;
    enum kv_format base;
    uint32_t n_prompt, n_selected, n_pages;
    size_t page_bytes;
    uint64_t generation;
    uint8_t *mem;    /* device address of the segment */
    void **page;     /* [n_pages] of the layer at hand */
    uint32_t *token; /* [n_kv_heads, max(n_selected, MSG_MAX_ROWS)] */
    float *score;    /* [n_kv_heads, n_chunks] */
};

enum status retrieval_count(uint32_t n_prompt, uint32_t budget, uint32_t chunk, uint32_t *out,
                            struct err *err)
{
    uint32_t rest = n_prompt % chunk;

    if (budget >= n_prompt) {
        *out = n_prompt;
        return ST_OK;
    }
    if (budget < (uint64_t)chunk + rest)
        return err_set(err, ST_INVALID,
                       "budget %u is too small: the first chunk of %u tokens and the last %u "
                       "prompt tokens are always taken",
                       budget, chunk, rest);
    *out = (budget - rest) / chunk * chunk + rest;
    return ST_OK;
}

struct scored_chunk {
    float score;
    uint32_t chunk;
};

/* Best first, lower index on ties. */
static int scored_chunk_cmp(const void *a, const void *b)
{
    const struct scored_chunk *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

/* Marks the n best, chunk 0 before all others if the last query sees it. Chunks that it does not
 * see come last: they only fill up the space of a budget that is larger than the window, and the
 * middle level, which sees the newest slots of a window, never reads them. */
static void choose_chunks(const struct chunk_score_args *a, const float *score, uint32_t n,
                          bool *chosen)
{
    struct scored_chunk *order = mem_array(a->n_chunks, sizeof *order);

    for (uint32_t c = 0; c < a->n_chunks; c++) {
        chosen[c] = false;
        order[c] = (struct scored_chunk){c < a->first_chunk ? -1.0f : score[c], c};
    }
    if (a->first_chunk == 0)
        order[0].score = INFINITY;
    qsort(order, a->n_chunks, sizeof *order, scored_chunk_cmp);
    for (uint32_t k = 0; k < n; k++)
        chosen[order[k].chunk] = true;
    free(order);
}

static void list_tokens(struct retrieval *r, uint32_t head, const bool *chosen, uint32_t n_chunks)
{
    uint32_t *out = r->token + (size_t)head * r->n_selected;
    uint32_t n = 0;

    for (uint32_t c = 0; c < n_chunks; c++)
        for (uint32_t t = 0; chosen[c] && t < r->args.chunk; t++)
            out[n++] = c * r->args.chunk + t;
    for (uint32_t t = n_chunks * r->args.chunk; t < r->n_prompt; t++)
        out[n++] = t;
    CHECK(n == r->n_selected);
}

static enum status select_layer(struct retrieval *r, uint32_t layer, const struct kv_view *view,
                                const float *query, struct err *err)
{
    uint32_t n_chunks = r->n_prompt / r->args.chunk;
    uint32_t n_take = r->n_selected / r->args.chunk;
    uint32_t n_heads = r->args.cfg->n_heads;
    uint32_t window = model_config_window(r->args.cfg, layer);
    struct chunk_score_args score = {
        .score = r->score,
        .q = query,
        .n_heads = (int)n_heads,
        .scale = 1.0f / sqrtf((float)r->shape.head_dim),
        .view = view,
        .limit = r->n_prompt,
        .n_chunks = n_chunks,
        .chunk = r->args.chunk,
        .first_chunk = attention_first(r->n_prompt, window) / r->args.chunk,
    };
    bool *chosen = mem_array(n_chunks + 1, sizeof *chosen);
    enum status st = ST_OK;

    if (r->n_selected < r->n_prompt) {
        query += (size_t)layer * n_heads * r->shape.head_dim;
        score.q = query;
        st = device_ops(r->args.dev)->chunk_score(r->args.dev, &score, err);
    }
    for (uint32_t h = 0; st == ST_OK && h < r->shape.n_kv_heads; h++) {
        if (r->n_selected < r->n_prompt)
            choose_chunks(&score, r->score + (size_t)h * n_chunks, n_take, chosen);
        else
            for (uint32_t c = 0; c < n_chunks; c++)
                chosen[c] = true;
        list_tokens(r, h, chosen, n_chunks);
    }
    free(chosen);
    return st;
}

static void set_pages(struct retrieval *r, uint32_t layer)
{
    for (uint32_t i = 0; i < r->n_pages; i++)
        r->page[i] = r->mem + ((size_t)layer * r->n_pages + i) * r->page_bytes;
}

static enum status build(struct retrieval *r, const float *query, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t l = 0; st == ST_OK && l < r->args.cfg->n_layers; l++) {
        struct kv_view view;
        struct kv_gather_args gather = {
            r->page, r->base, &view, r->n_prompt, r->token, (int)r->n_selected, 0};
        st = target_cache_view(r->args.cache, l, &view, err);
        if (st == ST_OK)
            st = select_layer(r, l, &view, query, err);
        set_pages(r, l);
        if (st == ST_OK)
            st = device_ops(r->args.dev)->kv_gather(r->args.dev, &gather, err);
    }
    return st == ST_OK ? device_sync(r->args.dev, err) : st;
}

enum status retrieval_open(struct retrieval **out, const struct retrieval_args *args,
                           struct err *err)
{
    struct retrieval *r = mem_zalloc(sizeof *r);
    uint32_t n_tokens;
    const void *mem = args->memory;
    enum status st;

    r->args = *args;
    r->args.snapshot = NULL;
    r->shape = snapshot_shape(args->cfg);
    r->base = (enum kv_format)args->snapshot->head.base_format;
    r->n_prompt = args->snapshot->head.n_tokens;
    r->page_bytes = kv_page_bytes(r->base, r->shape);
    r->generation = 1;
    st = retrieval_count(r->n_prompt, args->budget, args->chunk, &r->n_selected, err);
    n_tokens = r->n_selected + args->recent;
    r->n_pages = (n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    if (st == ST_OK && retrieval_bytes(r) > args->memory_bytes)
        st = err_set(err, ST_NO_SPACE, "retrieval KV of %u tokens takes %zu bytes, %zu are there",
                     n_tokens, retrieval_bytes(r), args->memory_bytes);
    if (st == ST_OK && !args->is_device_memory)
        st = device_adopt(args->dev, DEVICE_KV_RETRIEVAL, args->memory, retrieval_bytes(r), &mem,
                          err);
    if (st == ST_OK) {
        r->mem = (uint8_t *)(uintptr_t)mem;
        uint32_t per_head = r->n_selected > MSG_MAX_ROWS ? r->n_selected : MSG_MAX_ROWS;
        r->page = mem_array(r->n_pages, sizeof *r->page);
        r->token = mem_array((size_t)per_head * r->shape.n_kv_heads, sizeof *r->token);
        r->score = mem_array((size_t)(r->n_prompt / args->chunk + 1) * r->shape.n_kv_heads,
                             sizeof *r->score);
        st = build(r, args->snapshot->query, err);
    }
    if (st != ST_OK) {
        retrieval_close(r);
        return err_in(err, st, "building the retrieval KV");
    }
    *out = r;
    return ST_OK;
}

void retrieval_close(struct retrieval *r)
{
    if (r == NULL)
        return;
    if (r->mem != NULL && !r->args.is_device_memory)
        device_drop(r->args.dev, r->mem);
    free(r->page);
    free(r->token);
    free(r->score);
    free(r);
}

uint32_t retrieval_n_selected(const struct retrieval *r)
{
    return r->n_selected;
}

uint32_t retrieval_layer_pages(const struct retrieval *r)
{
    return r->n_pages;
}

size_t retrieval_bytes(const struct retrieval *r)
{
    return (size_t)r->args.cfg->n_layers * r->n_pages * r->page_bytes;
}

enum kv_format retrieval_format(const struct retrieval *r)
{
    return r->base;
}

uint64_t retrieval_generation(const struct retrieval *r)
{
    return r->generation;
}

enum status retrieval_update(struct retrieval *r, uint32_t first, uint32_t n, struct err *err)
{
    struct kv_view view;
    struct kv_gather_args gather = {.page = r->page,
                                    .format = r->base,
                                    .view = &view,
                                    .limit = first + n,
                                    .token = r->token,
                                    .n_tokens = (int)n,
                                    .first_slot = r->n_selected + first - r->n_prompt};
    enum status st = ST_OK;

    CHECK(n <= MSG_MAX_ROWS && gather.first_slot + n <= r->n_pages * PAGE_TOKENS);
    for (uint32_t h = 0; h < r->shape.n_kv_heads; h++)
        for (uint32_t i = 0; i < n; i++)
            r->token[h * n + i] = first + i;
    for (uint32_t l = 0; st == ST_OK && l < r->args.cfg->n_layers; l++) {
        target_cache_tail_view(r->args.cache, l, &view);
        set_pages(r, l);
        st = device_ops(r->args.dev)->kv_gather(r->args.dev, &gather, err);
    }
    r->generation++;
    return st == ST_OK ? device_sync(r->args.dev, err) : st;
}
