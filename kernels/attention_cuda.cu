/*
 * Attention on CUDA: which kernel, over which splits, and what a call hands to it.
 *
 * Up to ATTENTION_CUDA_FEW rows, blocks share a row's pages by splits of absolute page index, and
 * the splits' states are merged by a second kernel: a row's bits depend on nothing but the row.
 * More rows (prefill, on a grid of absolute chunks) fill the device by themselves: a block walks
 * all pages of its rows.
 */
#include "kernels/attention_cuda.cuh"

#include <stdlib.h>
#include <string.h>

extern "C" {
#include "common/mem.h"
#include "kernels/device_cuda.h"
#include "kernels/device_cuda_ops.h"
}

enum {
    ATTENTION_CUDA_FEW = 33,
    /* Numbers of splits and of page pointers are rounded up to these, so that grids and the places
     * of later arguments change seldom while a sequence grows. */
    ATTENTION_CUDA_SPLITS = 8,
    ATTENTION_CUDA_PAGES = 64
};

/* The arguments of a call, one block of bytes. */
struct attention_cuda_bytes {
    struct attention_cuda_span *span;
    uint32_t *limit;
    struct attention_cuda_page *pages;
    size_t limit_at, pages_at, size;
};

/* Pages of a split: fewer where few KV heads give few blocks. A model's own number, so that a row's
 * bits are the same in every call. */
static uint32_t attention_cuda_split_pages(uint32_t n_kv)
{
    return n_kv >= 16 ? ATTENTION_SPLIT_PAGES : n_kv >= 8 ? ATTENTION_SPLIT_PAGES / 2 : 2;
}

/* Does some row read page p from its tail form? Rows of the least limit, `shortest`, say so for
 * nearly all pages. */
static bool attention_cuda_reads_tail(const struct attention_args *a, uint32_t p, uint32_t shortest)
{
    const struct kv_view *view = a->view;

    if (view->tail[p] == NULL)
        return false;
    if (view->sealed[p] != NULL && p + 2 <= (shortest - 1) / PAGE_TOKENS)
        return false;
    for (int r = 0; r < a->n_rows; r++)
        if (a->limit[r] > p * PAGE_TOKENS &&
            !(view->sealed[p] != NULL && p + 2 <= (a->limit[r] - 1) / PAGE_TOKENS))
            return true;
    return false;
}

static void attention_cuda_pages(const struct attention_args *a,
                                 const struct attention_cuda_bytes *b, uint32_t longest)
{
    const struct kv_view *view = a->view;
    uint32_t shortest = longest;

    for (int r = 0; r < a->n_rows; r++)
        shortest = a->limit[r] < shortest ? a->limit[r] : shortest;
    for (uint32_t p = b->span->first_page; p < b->span->end_page; p++) {
        struct attention_cuda_page *page = &b->pages[p - b->span->first_page];
        bool sealed = view->sealed[p] != NULL &&
                      (view->tail[p] == NULL || p + 2 <= (longest - 1) / PAGE_TOKENS);
        page->sealed = sealed ? (const char *)view->sealed[p] : NULL;
        page->tail = attention_cuda_reads_tail(a, p, shortest) ? (const char *)view->tail[p] : NULL;
    }
}

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static void attention_cuda_layout(struct attention_cuda_bytes *b, int n_rows, uint32_t n_pages)
{
    memset(b, 0, sizeof *b);
    b->limit_at = sizeof *b->span;
    b->pages_at = b->limit_at + round_up((size_t)n_rows * sizeof *b->limit, 16);
    b->size = b->pages_at + round_up(n_pages, ATTENTION_CUDA_PAGES) * sizeof *b->pages;
}

/* The kernel's parameters but for what lies in device memory. */
static void attention_cuda_plan_of(struct attention_cuda_plan *plan, const struct attention_args *a)
{
    const struct kv_view *view = a->view;
    struct attention_cuda_params *p = &plan->params;

    memset(plan, 0, sizeof *plan);
    p->out = a->out;
    p->q = a->q;
    p->scale = a->scale * ATTENTION_LOG2E;
    p->n_rows = a->n_rows;
    p->n_heads = a->n_heads;
    p->n_kv = (int)view->shape.n_kv_heads;
    p->group = a->n_heads / p->n_kv;
    p->head_dim = view->shape.head_dim;
    p->window = a->window;
    p->sealed_format = view->sealed_format;
    p->tail_format = view->tail_format;
    p->sealed_head_bytes = kv_head_bytes(view->sealed_format, p->head_dim);
    p->tail_head_bytes = kv_head_bytes(view->tail_format, p->head_dim);
    p->split_pages = attention_cuda_split_pages(view->shape.n_kv_heads);
}

/* Tokens [earliest, longest) as splits. */
static void attention_cuda_span_of(struct attention_cuda_plan *plan, struct attention_cuda_span *s,
                                   uint32_t earliest, uint32_t longest)
{
    struct attention_cuda_params *p = &plan->params;

    memset(s, 0, sizeof *s);
    s->end_page = (longest - 1) / PAGE_TOKENS + 1;
    s->first_page = earliest / PAGE_TOKENS / p->split_pages * p->split_pages;
    if (p->n_rows > ATTENTION_CUDA_FEW)
        p->split_pages = 0x40000000; /* above every page, and no sum overflows */
    s->n_splits = (s->end_page - s->first_page + p->split_pages - 1) / p->split_pages;
    p->direct = s->n_splits == 1;
    plan->n_splits = p->direct ? 1 : (int)round_up(s->n_splits, ATTENTION_CUDA_SPLITS);
}

static enum status attention_cuda_launch(struct device *dev, const struct attention_cuda_plan *plan,
                                         struct err *err)
{
    const struct attention_cuda_params *p = &plan->params;
    bool plain = p->sealed_format == KV_F32 || p->tail_format != KV_F16;

    if (!plain && p->head_dim == 64)
        return attention_tile64(dev, plan, err);
    if (!plain && p->head_dim == 128)
        return attention_tile128(dev, plan, err);
    if (!plain && p->head_dim == 256)
        return attention_tile256(dev, plan, err);
    return attention_plain(dev, plan, err);
}

static enum status attention_cuda_begin(struct device *dev, struct attention_cuda_plan *plan,
                                        size_t args_bytes, struct err *err)
{
    struct attention_cuda_params *p = &plan->params;
    size_t n = (size_t)plan->n_splits * (size_t)p->n_rows * (size_t)p->n_heads;
    size_t acc_bytes = p->direct ? 0 : round_up(n * p->head_dim * sizeof(float), 256);
    struct device_cuda_op op = {"attention", args_bytes,
                                p->direct ? 0 : acc_bytes + n * sizeof(float2), p->direct ? 1 : 2};
    void *scratch = NULL;
    enum status st = device_cuda_begin(dev, &op, &scratch, err);

    p->acc = (float *)scratch;
    p->state = scratch != NULL ? (float2 *)(void *)((char *)scratch + acc_bytes) : NULL;
    return st;
}

extern "C" enum status attention_cuda(struct device *dev, const struct attention_args *a,
                                      struct err *err)
{
    struct attention_cuda_plan plan;
    struct attention_cuda_span span;
    struct attention_cuda_bytes b;
    uint32_t earliest = 0, longest = 0;
    const void *at = NULL;

    if (a->n_rows <= 0)
        return ST_OK;
    enum status st = attention_check(a, &earliest, &longest, err);
    if (st != ST_OK)
        return err_in(err, st, "attention");
    attention_cuda_plan_of(&plan, a);
    attention_cuda_span_of(&plan, &span, earliest, longest);
    plan.shared_limit = device_cuda_limits(dev)->shared_per_block;
    attention_cuda_layout(&b, a->n_rows, span.end_page - span.first_page);

    char *bytes = (char *)mem_zalloc(b.size);
    b.span = (struct attention_cuda_span *)(void *)bytes;
    b.limit = (uint32_t *)(void *)(bytes + b.limit_at);
    b.pages = (struct attention_cuda_page *)(void *)(bytes + b.pages_at);
    *b.span = span;
    memcpy(b.limit, a->limit, (size_t)a->n_rows * sizeof *b.limit);
    attention_cuda_pages(a, &b, longest);
    st = attention_cuda_begin(dev, &plan, b.size, err);
    if (st == ST_OK)
        st = device_cuda_args(dev, bytes, b.size, &at, err);
    free(bytes);
    plan.params.span = (const struct attention_cuda_span *)at;
    plan.params.limit = (const uint32_t *)(const void *)((const char *)at + b.limit_at);
    plan.params.pages =
        (const struct attention_cuda_page *)(const void *)((const char *)at + b.pages_at);
    if (st == ST_OK)
        st = attention_cuda_launch(dev, &plan, err);
    if (st == ST_OK && !plan.params.direct)
        st = attention_merge(dev, &plan, err);
    return st == ST_OK ? ST_OK : err_in(err, st, "attention");
}
