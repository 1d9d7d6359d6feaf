/*
 * Three kernels: scores of tokens, softmax over chunks per query head, mean over
 * the query heads of a KV head (where there are several).
 *
 * q . mean(K) is the mean of q . k over the chunk's tokens, so that the first
 * kernel, which reads the keys, knows nothing of chunks. Its block is one page of
 * one KV head: a warp takes panels of 8 tokens, its lanes pairs of dimensions;
 * scales of K go into q once per page. HEADS query heads share a reading of K.
 */
#include <math.h>
#include <stdlib.h>

#include "kernels/kv_read_cuda.cuh"
#include "kernels/op_cuda.cuh"
#include "kernels/reduce_cuda.cuh"

extern "C" {
#include "common/mem.h"
}

enum {
    HEADS = 4,
    TOKEN_THREADS = 128, /* a warp per head of q's tile */
    TOKEN_WARPS = TOKEN_THREADS / WARP_LANES,
    PANELS = PAGE_TOKENS / KV_UNIT,
    CHUNK_THREADS = 1024,
    MEAN_THREADS = 256,
    LONG_CHUNK = 64 /* from here on a warp adds up a chunk, below it a thread */
};

struct score_page {
    const char *page;
    uint32_t format;     /* enum kv_format */
    uint32_t head_bytes; /* of a KV head's section */
};

struct token_params {
    const struct score_page *page; /* from first_page on */
    const float *q;                /* [n_heads, head_dim] */
    float *s;                      /* [n_heads, n_tokens]: tokens from first_page on */
    uint32_t head_dim, group, n_tokens;
    float scale;
};

/* q's tile for one page: what K's quantized values are multiplied by, and what
 * int4's minima add to every token's score. */
struct score_tile {
    float q[HEADS][KV_MAX_HEAD_DIM], base[HEADS];
};

template <int FORMAT>
static __device__ void fill_tile(const struct token_params &p, const char *head,
                                 uint32_t first_head, uint32_t n, struct score_tile *tile)
{
    const uint32_t D = p.head_dim, warp = threadIdx.x / WARP_LANES;
    const uint32_t scales = (uint32_t)PAGE_TOKENS * D / (FORMAT == KV_INT4 ? 2 : 1);
    const float *scale = (const float *)(head + scales);
    const bool quantized = FORMAT == KV_INT8 || FORMAT == KV_INT4;
    float base = 0.0f;

    for (uint32_t d = threadIdx.x % WARP_LANES; d < D; d += WARP_LANES) {
        const float q = warp < n ? p.q[(size_t)(first_head + warp) * D + d] : 0.0f;
        tile->q[warp][d] = quantized ? q * scale[d] : q;
        if (FORMAT == KV_INT4)
            base += q * scale[D + d];
    }
    base = reduce_warp_sum(base);
    if (threadIdx.x % WARP_LANES == 0)
        tile->base[warp] = base;
}

/* Tokens of a panel, dimensions 2j and 2j + 1; quantized values without scale. */
template <int FORMAT>
static __device__ __forceinline__ void read_pair(const char *head, uint32_t D, uint32_t panel,
                                                 uint32_t j, float x[2][KV_UNIT])
{
    const enum kv_format format = (enum kv_format)FORMAT;

    if (FORMAT == KV_F16 || FORMAT == KV_F32) {
        kv_read_unit(format, head, panel * D + 2 * j, x[0]);
        kv_read_unit(format, head, panel * D + 2 * j + 1, x[1]);
        return;
    }
    const uint32_t line = FORMAT == KV_INT8 ? panel : panel / 2, shift = panel % 2 * 4;
    const char *at = head + (size_t)(line * (D / 2) + j) * 16;
    kv_read_bytes(format, at, 0, shift, x[0]);
    kv_read_bytes(format, at, 1, shift, x[1]);
}

template <int FORMAT>
static __device__ void score_panel(const struct token_params &p, const char *head, uint32_t panel,
                                   uint32_t first_head, uint32_t n, const struct score_tile *tile)
{
    const uint32_t lane = threadIdx.x % WARP_LANES, pairs = p.head_dim / 2;
    const uint32_t token = blockIdx.x * (uint32_t)PAGE_TOKENS + panel * KV_UNIT + lane / 4;
    float acc[HEADS][KV_UNIT] = {};

#pragma unroll 2
    for (uint32_t j = lane; j < pairs; j += WARP_LANES) {
        float x[2][KV_UNIT];

        read_pair<FORMAT>(head, p.head_dim, panel, j, x);
#pragma unroll
        for (int h = 0; h < HEADS; h++)
#pragma unroll
            for (int i = 0; i < KV_UNIT; i++)
                acc[h][i] += tile->q[h][2 * j] * x[0][i] + tile->q[h][2 * j + 1] * x[1][i];
    }
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        const float s = reduce_warp_sum8(acc[h]);
        if (lane % 4 == 0 && token < p.n_tokens && (uint32_t)h < n)
            p.s[(size_t)(first_head + (uint32_t)h) * p.n_tokens + token] =
                p.scale * (s + tile->base[h]);
    }
}

/* `head` is the KV head's section of the block's page. */
template <int FORMAT>
static __device__ void score_page(const struct token_params &p, const char *head,
                                  struct score_tile *tile)
{
    const uint32_t first_panel = threadIdx.x / WARP_LANES * (PANELS / TOKEN_WARPS);

    for (uint32_t j = 0; j < p.group; j += HEADS) {
        const uint32_t n = min(p.group - j, (uint32_t)HEADS);
        const uint32_t first_head = blockIdx.y * p.group + j;

        fill_tile<FORMAT>(p, head, first_head, n, tile);
        __syncthreads();
        /* Neighbouring panels go to one warp: int4 keeps two in the same bytes. */
        for (uint32_t i = 0; i < PANELS / TOKEN_WARPS; i++)
            score_panel<FORMAT>(p, head, first_panel + i, first_head, n, tile);
        __syncthreads();
    }
}

static __global__ void __launch_bounds__(TOKEN_THREADS) score_tokens_kernel(struct token_params p)
{
    __shared__ struct score_tile tile;
    const struct score_page *page = &p.page[blockIdx.x];
    const char *head = page->page + (size_t)blockIdx.y * page->head_bytes;

    switch ((enum kv_format)page->format) {
    case KV_F32:
        score_page<KV_F32>(p, head, &tile);
        break;
    case KV_F16:
        score_page<KV_F16>(p, head, &tile);
        break;
    case KV_INT8:
        score_page<KV_INT8>(p, head, &tile);
        break;
    case KV_INT4:
        score_page<KV_INT4>(p, head, &tile);
        break;
    }
}

struct chunk_params {
    const float *s; /* [n_heads, n_tokens], tokens from `origin` on */
    float *weight;  /* [n_heads, n_chunks] */
    uint32_t n_tokens, origin, n_chunks, chunk, first_chunk;
    uint32_t group;
};

/* The mean score of chunk c; all lanes of a warp ask for the same one if it is long. */
static __device__ float chunk_mean(const struct chunk_params &p, const float *s, uint32_t c)
{
    const float *at = s + ((size_t)c * p.chunk - p.origin);
    float sum = 0.0f;

    if (p.chunk < LONG_CHUNK) {
        for (uint32_t t = 0; t < p.chunk; t++)
            sum += at[t];
        return sum / (float)p.chunk;
    }
    for (uint32_t t = threadIdx.x % WARP_LANES; t < p.chunk; t += WARP_LANES)
        sum += at[t];
    return reduce_warp_sum(sum) / (float)p.chunk;
}

/* One block per query head: softmax of the chunks' means, divided by the group. */
static __global__ void __launch_bounds__(CHUNK_THREADS) score_chunks_kernel(struct chunk_params p)
{
    __shared__ float shared[REDUCE_SHARED];
    const float *s = p.s + (size_t)blockIdx.x * p.n_tokens;
    float *weight = p.weight + (size_t)blockIdx.x * p.n_chunks;
    const bool is_long = p.chunk >= LONG_CHUNK;
    const uint32_t step = is_long ? CHUNK_THREADS / WARP_LANES : CHUNK_THREADS;
    float max = -INFINITY, sum = 0.0f;

    for (uint32_t c = p.first_chunk + (is_long ? threadIdx.x / WARP_LANES : threadIdx.x);
         c < p.n_chunks; c += step) {
        const float mean = chunk_mean(p, s, c);
        if (!is_long || threadIdx.x % WARP_LANES == 0)
            weight[c] = mean;
        max = fmaxf(max, mean);
    }
    max = reduce_block_max(max, shared); /* its barrier also shows the means to all */
    for (uint32_t c = threadIdx.x; c < p.n_chunks; c += CHUNK_THREADS) {
        const float e = c < p.first_chunk ? 0.0f : expf(weight[c] - max);
        weight[c] = e;
        sum += e;
    }
    const float factor = 1.0f / (reduce_block_sum(sum, shared) * (float)p.group);
    for (uint32_t c = threadIdx.x; c < p.n_chunks; c += CHUNK_THREADS)
        weight[c] *= c < p.first_chunk ? 0.0f : factor;
}

struct mean_params {
    const float *weight; /* [n_heads, n_chunks] */
    float *score;        /* [n_kv_heads, n_chunks] */
    uint32_t n_chunks, group;
};

static __global__ void __launch_bounds__(MEAN_THREADS) score_mean_kernel(struct mean_params p)
{
    const uint32_t c = blockIdx.x * MEAN_THREADS + threadIdx.x;
    const float *weight = p.weight + (size_t)blockIdx.y * p.group * p.n_chunks + c;
    float sum = 0.0f;

    if (c >= p.n_chunks)
        return;
    for (uint32_t h = 0; h < p.group; h++)
        sum += weight[(size_t)h * p.n_chunks];
    p.score[(size_t)blockIdx.y * p.n_chunks + c] = sum;
}

/* What one call works with. Scratch: token scores, weights, then the scores of KV
 * heads, which are the weights themselves where a KV head has one query head. */
struct score_call {
    const struct chunk_score_args *a;
    uint32_t first_page, n_pages, n_tokens, group;
    struct score_page *page; /* host */
    float *s, *weight, *score;
};

static void call_open(struct score_call *call, const struct chunk_score_args *a)
{
    const struct kv_view *view = a->view;
    const uint32_t end = a->n_chunks * a->chunk;

    call->a = a;
    call->group = (uint32_t)a->n_heads / view->shape.n_kv_heads;
    call->first_page = a->first_chunk * a->chunk / PAGE_TOKENS;
    call->n_pages = (end - 1) / PAGE_TOKENS - call->first_page + 1;
    call->n_tokens = end - call->first_page * PAGE_TOKENS;
    call->page = (struct score_page *)mem_zalloc(call->n_pages * sizeof *call->page);
    for (uint32_t i = 0; i < call->n_pages; i++) {
        const uint32_t p = call->first_page + i;
        const bool sealed = kv_view_reads_sealed(view, p, a->limit);
        call->page[i].page = (const char *)(sealed ? view->sealed : view->tail)[p];
        call->page[i].format = sealed ? view->sealed_format : view->tail_format;
        call->page[i].head_bytes =
            (uint32_t)kv_head_bytes((enum kv_format)call->page[i].format, view->shape.head_dim);
    }
}

static enum status launch_tokens(struct device *dev, struct score_call *call, struct err *err)
{
    const struct chunk_score_args *a = call->a;
    const struct kv_view *view = a->view;
    const uint32_t D = view->shape.head_dim, n_kv = view->shape.n_kv_heads;
    const size_t page_bytes = call->n_pages * sizeof *call->page;
    const size_t q_bytes = (size_t)a->n_heads * D * sizeof *a->q;
    const size_t n_weights = (size_t)a->n_heads * a->n_chunks;
    const size_t n_scores = call->group > 1 ? (size_t)n_kv * a->n_chunks : 0;
    const size_t n_s = (size_t)a->n_heads * call->n_tokens;
    const struct device_cuda_op op = {"chunk_score",
                                      op_cuda_round(page_bytes) + op_cuda_round(q_bytes),
                                      (n_s + n_weights + n_scores) * sizeof(float), 3};
    const void *page, *q;
    void *scratch;
    struct token_params p;
    enum status st = device_cuda_begin(dev, &op, &scratch, err);

    if (st == ST_OK)
        st = device_cuda_args(dev, call->page, page_bytes, &page, err);
    if (st == ST_OK)
        st = device_cuda_args(dev, a->q, q_bytes, &q, err);
    if (st != ST_OK)
        return st;
    call->s = (float *)scratch;
    call->weight = call->s + n_s;
    call->score = call->group > 1 ? call->weight + n_weights : call->weight;
    memset(&p, 0, sizeof p);
    p.page = (const struct score_page *)page;
    p.q = (const float *)q;
    p.s = call->s;
    p.head_dim = D;
    p.group = call->group;
    p.n_tokens = call->n_tokens;
    p.scale = a->scale;
    return cuda_launch(dev, score_tokens_kernel, dim3(call->n_pages, n_kv), dim3(TOKEN_THREADS), 0,
                       p, err);
}

static enum status launch_chunks(struct device *dev, const struct score_call *call, struct err *err)
{
    const struct chunk_score_args *a = call->a;
    struct chunk_params p;

    memset(&p, 0, sizeof p);
    p.s = call->s;
    p.weight = call->weight;
    p.n_tokens = call->n_tokens;
    p.origin = call->first_page * PAGE_TOKENS;
    p.n_chunks = a->n_chunks;
    p.chunk = a->chunk;
    p.first_chunk = a->first_chunk;
    p.group = call->group;
    return cuda_launch(dev, score_chunks_kernel, dim3((unsigned)a->n_heads), dim3(CHUNK_THREADS), 0,
                       p, err);
}

static enum status launch_mean(struct device *dev, const struct score_call *call, struct err *err)
{
    const uint32_t n_chunks = call->a->n_chunks;
    struct mean_params p;

    memset(&p, 0, sizeof p);
    p.weight = call->weight;
    p.score = call->score;
    p.n_chunks = n_chunks;
    p.group = call->group;
    return cuda_launch(
        dev, score_mean_kernel,
        dim3((n_chunks + MEAN_THREADS - 1) / MEAN_THREADS, call->a->view->shape.n_kv_heads),
        dim3(MEAN_THREADS), 0, p, err);
}

extern "C" enum status chunk_score_cuda(struct device *dev, const struct chunk_score_args *a,
                                        struct err *err)
{
    const size_t n_scores = (size_t)a->view->shape.n_kv_heads * a->n_chunks;
    struct score_call call;
    enum status st = chunk_score_check(a, err);

    if (st != ST_OK)
        return st;
    if (a->first_chunk == a->n_chunks) {
        memset(a->score, 0, n_scores * sizeof *a->score);
        return ST_OK;
    }
    call_open(&call, a);
    st = launch_tokens(dev, &call, err);
    if (st == ST_OK)
        st = launch_chunks(dev, &call, err);
    if (st == ST_OK && call.group > 1)
        st = launch_mean(dev, &call, err);
    if (st == ST_OK)
        st = device_cuda_read(dev, a->score, call.score, n_scores * sizeof *a->score, err);
    free(call.page);
    return st;
}
