/*
 * A block gathers one panel of 8 slots of one KV head, so that a panel's K is
 * written in whole units wherever all its slots are this call's. Chunks of whole
 * panels, which is what retrieval mostly asks for, are read in whole units too.
 *
 * A call after each verification gathers a few new tokens: its arguments and
 * grid are padded to one size, so that the launch is the same each time.
 */
#include <stdlib.h>

#include "kernels/kv_read_cuda.cuh"
#include "kernels/op_cuda.cuh"

extern "C" {
#include "common/mem.h"
}

enum { THREADS = 128, PANEL = 8 };
static const uint32_t FEW_TOKENS = 40, FEW_PAGES = 4;

struct gather_source {
    const char *page;
    uint32_t is_sealed;
    uint32_t unused;
};

struct gather_call {
    uint32_t n_tokens, token_stride, first_slot, first_page;
};

struct gather_params {
    const struct gather_call *call;
    const struct gather_source *source; /* from page first_page on */
    char *const *out;                   /* from the page of first_slot on */
    const uint32_t *token;              /* [n_kv_heads, token_stride] */
    struct kv_read_format sealed, tail, to;
};

/* Where the panel's 8 tokens come from. */
struct gather_panel {
    const char *head[PANEL]; /* NULL: this slot is not of this call */
    uint32_t is_sealed[PANEL], token[PANEL];
};

/* By value: an address of parameters would put a copy of them into memory. */
static __device__ __forceinline__ struct kv_read_format form_of(const struct gather_params &p,
                                                                uint32_t is_sealed)
{
    return is_sealed ? p.sealed : p.tail;
}

static __device__ void locate_token(const struct gather_params &p, uint32_t h, uint32_t slot,
                                    struct gather_panel *panel, uint32_t i)
{
    const struct gather_call *call = p.call;

    panel->head[i] = NULL;
    if (slot < call->first_slot || slot - call->first_slot >= call->n_tokens)
        return;
    uint32_t token = p.token[(size_t)h * call->token_stride + (slot - call->first_slot)];
    const struct gather_source *source = &p.source[token / PAGE_TOKENS - call->first_page];
    panel->head[i] = source->page + (size_t)h * form_of(p, source->is_sealed).head_bytes;
    panel->is_sealed[i] = source->is_sealed;
    panel->token[i] = token % PAGE_TOKENS;
}

/* All slots are of this call, and are a panel of one unquantized page. */
static __device__ bool is_whole(const struct gather_params &p, const struct gather_panel *panel)
{
    const struct kv_read_format from = form_of(p, panel->is_sealed[0]);
    bool whole = panel->token[0] % PANEL == 0 && (from.format == KV_F16 || from.format == KV_F32);

#pragma unroll
    for (uint32_t i = 0; i < PANEL; i++)
        whole = whole && panel->head[i] != NULL && panel->head[i] == panel->head[0] &&
                panel->token[i] == panel->token[0] + i;
    return whole;
}

static __device__ void gather_k(const struct gather_params &p, const struct gather_panel *panel,
                                char *head, uint32_t slot, uint32_t d, bool whole)
{
    const uint32_t unit = slot / PANEL * p.to.head_dim + d;
    float x[PANEL];
    bool all = true;

    if (whole) {
        const struct kv_read_format from = form_of(p, panel->is_sealed[0]);
        kv_read_unit(from.format, panel->head[0], panel->token[0] / PANEL * p.to.head_dim + d, x);
        kv_write_unit(p.to.format, head, unit, x);
        return;
    }
#pragma unroll
    for (int i = 0; i < PANEL; i++) {
        const struct kv_read_format from = form_of(p, panel->is_sealed[i]);
        all = all && panel->head[i] != NULL;
        x[i] = 0.0f;
        if (panel->head[i] != NULL)
            x[i] = kv_read_k(from, panel->head[i], panel->token[i], d);
    }
    if (all) {
        kv_write_unit(p.to.format, head, unit, x);
        return;
    }
#pragma unroll
    for (int i = 0; i < PANEL; i++)
        if (panel->head[i] != NULL)
            kv_write_element(p.to.format, head, unit * PANEL + (uint32_t)i, x[i]);
}

static __global__ void __launch_bounds__(THREADS) kv_gather_kernel(struct gather_params p)
{
    __shared__ struct gather_panel panel;
    const uint32_t D = p.to.head_dim, units = D / KV_UNIT, h = blockIdx.y;
    const uint32_t first_slot = p.call->first_slot;
    const uint32_t first = (first_slot / PANEL + blockIdx.x) * PANEL; /* the panel's first slot */

    if (first >= first_slot + p.call->n_tokens)
        return;
    if (threadIdx.x < PANEL)
        locate_token(p, h, first + threadIdx.x, &panel, threadIdx.x);
    __syncthreads();
    char *head = p.out[first / PAGE_TOKENS - first_slot / PAGE_TOKENS];
    head += (size_t)h * p.to.head_bytes;
    const bool whole = panel.head[0] != NULL && is_whole(p, &panel);
    for (uint32_t u = threadIdx.x; u < 2 * D; u += THREADS) {
        const uint32_t i = (u - D) / units, j = (u - D) % units;
        float x[KV_UNIT];

        if (u < D) {
            gather_k(p, &panel, head, first % PAGE_TOKENS, u, whole);
        } else if (panel.head[i] != NULL) {
            kv_read_v(form_of(p, panel.is_sealed[i]), panel.head[i], panel.token[i], j, x);
            kv_write_unit(p.to.format, head + p.to.v_bytes, (first % PAGE_TOKENS + i) * units + j,
                          x);
        }
    }
}

/* The host's copy of a call's arguments. */
struct gather_host {
    struct gather_call call;
    uint32_t n_sources, n_out; /* padded */
    struct gather_source *source;
    void **out;
    uint32_t *token;
};

static void host_open(struct gather_host *host, const struct kv_gather_args *a)
{
    const struct kv_view *view = a->view;
    const uint32_t n = (uint32_t)a->n_tokens, n_heads = view->shape.n_kv_heads;
    const uint32_t out_page = a->first_slot / PAGE_TOKENS;
    const uint32_t n_out = (a->first_slot + n - 1) / PAGE_TOKENS - out_page + 1;
    uint32_t first = UINT32_MAX, last = 0;

    for (size_t i = 0; i < (size_t)n_heads * n; i++) {
        first = a->token[i] / PAGE_TOKENS < first ? a->token[i] / PAGE_TOKENS : first;
        last = a->token[i] / PAGE_TOKENS > last ? a->token[i] / PAGE_TOKENS : last;
    }
    const uint32_t n_sources = last - first + 1, stride = n > FEW_TOKENS ? n : FEW_TOKENS;
    host->call.n_tokens = n;
    host->call.token_stride = stride;
    host->call.first_slot = a->first_slot;
    host->call.first_page = first;
    host->n_sources = n_sources > FEW_PAGES ? n_sources : FEW_PAGES;
    host->n_out = n_out > FEW_PAGES ? n_out : FEW_PAGES;
    host->source = (struct gather_source *)mem_zalloc(host->n_sources * sizeof *host->source);
    host->out = (void **)mem_zalloc(host->n_out * sizeof *host->out);
    host->token = (uint32_t *)mem_zalloc((size_t)n_heads * stride * sizeof *host->token);
    for (uint32_t i = 0; i < n_sources; i++) {
        const bool sealed = kv_view_reads_sealed(view, first + i, a->limit);
        host->source[i].page = (const char *)(sealed ? view->sealed : view->tail)[first + i];
        host->source[i].is_sealed = sealed;
    }
    for (uint32_t i = 0; i < n_out; i++)
        host->out[i] = a->page[out_page + i];
    for (uint32_t h = 0; h < n_heads; h++)
        memcpy(host->token + (size_t)h * stride, a->token + (size_t)h * n, n * sizeof *a->token);
}

static void host_close(struct gather_host *host)
{
    free(host->source);
    free(host->out);
    free(host->token);
}

static enum status launch_gather(struct device *dev, const struct kv_gather_args *a,
                                 const struct gather_host *host, struct err *err)
{
    const struct kv_shape shape = a->view->shape;
    const size_t source_bytes = host->n_sources * sizeof *host->source;
    const size_t out_bytes = host->n_out * sizeof *host->out;
    const size_t token_bytes =
        (size_t)shape.n_kv_heads * host->call.token_stride * sizeof *host->token;
    const struct device_cuda_op op = {"kv_gather",
                                      op_cuda_round(sizeof host->call) +
                                          op_cuda_round(source_bytes) + op_cuda_round(out_bytes) +
                                          op_cuda_round(token_bytes),
                                      0, 1};
    const void *call, *source, *out, *token;
    struct gather_params p;
    enum status st = device_cuda_begin(dev, &op, NULL, err);

    if (st == ST_OK)
        st = device_cuda_args(dev, &host->call, sizeof host->call, &call, err);
    if (st == ST_OK)
        st = device_cuda_args(dev, host->source, source_bytes, &source, err);
    if (st == ST_OK)
        st = device_cuda_args(dev, host->out, out_bytes, &out, err);
    if (st == ST_OK)
        st = device_cuda_args(dev, host->token, token_bytes, &token, err);
    if (st != ST_OK)
        return st;
    memset(&p, 0, sizeof p);
    p.call = (const struct gather_call *)call;
    p.source = (const struct gather_source *)source;
    p.out = (char *const *)out;
    p.token = (const uint32_t *)token;
    p.sealed = kv_read_format(a->view->sealed_format, shape.head_dim);
    p.tail = kv_read_format(a->view->tail_format, shape.head_dim);
    p.to = kv_read_format(a->format, shape.head_dim);
    /* One more than the tokens fill: they may begin inside a panel. */
    const dim3 grid((host->call.token_stride + PANEL - 1) / PANEL + 1, shape.n_kv_heads);
    return cuda_launch(dev, kv_gather_kernel, grid, dim3(THREADS), 0, p, err);
}

extern "C" enum status kv_gather_cuda(struct device *dev, const struct kv_gather_args *a,
                                      struct err *err)
{
    struct gather_host host;
    enum status st;

    if (a->format != KV_F32 && a->format != KV_F16)
        return err_set(err, ST_INVALID, "tokens can be gathered to f32 and f16 pages only");
    if (a->n_tokens <= 0 || a->view->shape.n_kv_heads == 0)
        return ST_OK;
    host_open(&host, a);
    st = launch_gather(dev, a, &host, err);
    host_close(&host);
    return st;
}
