/*
 * One block per row and query head: a draft's window is a few hundred tokens, so
 * that a second level of blocks would cost more in launches than it saves.
 * Groups of 8 lanes take a token each: its key is rotated where it is read, and
 * never stored. Every sum's order depends on the shapes alone.
 */
#include <stdlib.h>

#include "kernels/op_cuda.cuh"
#include "kernels/reduce_cuda.cuh"

extern "C" {
#include "common/mem.h"
#include "kernels/window_attention_head.h"
}

enum { THREADS = 256, TOKEN_LANES = 8, PART_FLOATS = 4 * THREADS };

struct window_params {
    float *out;
    const float *q, *k, *v, *cos, *sin;
    const struct window_attention_span *span; /* [n_rows] */
    uint32_t n_heads, n_kv_heads, head_dim, n_sinks, n_ring;
    float scale;
};

static __device__ __forceinline__ uint32_t slot_of(const struct window_params &p,
                                                   const struct window_attention_span &span,
                                                   uint32_t i)
{
    const uint32_t slot = span.ring + (i - span.n_sinks);

    return i < span.n_sinks ? i : p.n_sinks + (slot < p.n_ring ? slot : slot - p.n_ring);
}

/* K or V of in-cache position i. */
static __device__ __forceinline__ const float4 *row_of(const struct window_params &p,
                                                       const float *ring,
                                                       const struct window_attention_span &span,
                                                       uint32_t i)
{
    const uint32_t g = blockIdx.x / (p.n_heads / p.n_kv_heads);

    return (const float4 *)(ring + ((size_t)slot_of(p, span, i) * p.n_kv_heads + g) * p.head_dim);
}

/* q rotated to in-cache position n - 1. */
static __device__ void rotate_q(const struct window_params &p, const float *q, uint32_t n,
                                float *out)
{
    const uint32_t half = p.head_dim / 2;

    for (uint32_t i = threadIdx.x; i < half; i += THREADS) {
        const float c = p.cos[(size_t)(n - 1) * half + i], s = p.sin[(size_t)(n - 1) * half + i];

        out[i] = q[i] * c - q[i + half] * s;
        out[i + half] = q[i + half] * c + q[i] * s;
    }
}

/* This lane's part of q . rotated k for the token at in-cache position i. */
static __device__ __forceinline__ float score_part(const struct window_params &p, const float *q,
                                                   const float4 *k, uint32_t i)
{
    const uint32_t quads = p.head_dim / 8; /* of half a head */
    const float4 *cos = (const float4 *)p.cos + (size_t)i * quads;
    const float4 *sin = (const float4 *)p.sin + (size_t)i * quads;
    const float4 *q4 = (const float4 *)q;
    float sum = 0.0f;

    for (uint32_t j = threadIdx.x % TOKEN_LANES; j < quads; j += TOKEN_LANES) {
        const float4 lo = k[j], hi = k[j + quads], c = cos[j], s = sin[j];
        const float4 a = q4[j], b = q4[j + quads];

        sum += a.x * (lo.x * c.x - hi.x * s.x) + b.x * (hi.x * c.x + lo.x * s.x);
        sum += a.y * (lo.y * c.y - hi.y * s.y) + b.y * (hi.y * c.y + lo.y * s.y);
        sum += a.z * (lo.z * c.z - hi.z * s.z) + b.z * (hi.z * c.z + lo.z * s.z);
        sum += a.w * (lo.w * c.w - hi.w * s.w) + b.w * (hi.w * c.w + lo.w * s.w);
    }
    return sum;
}

/* Scores of all tokens; returns the largest of those that this thread wrote. */
static __device__ float write_scores(const struct window_params &p,
                                     const struct window_attention_span &span, const float *q,
                                     float *score)
{
    float largest = -INFINITY;

    for (uint32_t first = 0; first < span.n; first += THREADS / TOKEN_LANES) {
        const uint32_t i = first + threadIdx.x / TOKEN_LANES;
        float sum = i < span.n ? score_part(p, q, row_of(p, p.k, span, i), i) : 0.0f;

#pragma unroll
        for (int d = TOKEN_LANES / 2; d > 0; d /= 2)
            sum += __shfl_xor_sync(WARP_ALL, sum, d);
        if (i >= span.n)
            continue;
        if (threadIdx.x % TOKEN_LANES == 0)
            score[i] = sum * p.scale;
        largest = fmaxf(largest, sum * p.scale);
    }
    return largest;
}

/* out = weights . V / total. Threads are columns of 4 dimensions times token
 * groups; the groups' parts are added in order. */
static __device__ void write_out(const struct window_params &p,
                                 const struct window_attention_span &span, const float *weight,
                                 float total, float *part, float *out)
{
    const uint32_t columns = p.head_dim / 4, groups = THREADS / columns;
    const uint32_t column = threadIdx.x % columns, group = threadIdx.x / columns;
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);

#pragma unroll 4
    for (uint32_t i = group; i < span.n && group < groups; i += groups) {
        const float4 v = row_of(p, p.v, span, i)[column];

        sum.x += weight[i] * v.x;
        sum.y += weight[i] * v.y;
        sum.z += weight[i] * v.z;
        sum.w += weight[i] * v.w;
    }
    if (group < groups)
        ((float4 *)part)[group * columns + column] = sum;
    __syncthreads();
    for (uint32_t d = threadIdx.x; d < p.head_dim; d += THREADS) {
        float x = 0.0f;
        for (uint32_t g = 0; g < groups; g++)
            x += part[g * p.head_dim + d];
        out[d] = x / total;
    }
}

static __global__ void __launch_bounds__(THREADS) window_attention_kernel(struct window_params p)
{
    op_cuda_start();
    __shared__ float reduce[REDUCE_SHARED];
    CUDA_SHARED(float, shared); /* q, the parts of the output, scores */
    float *q = shared, *part = q + p.head_dim, *score = part + PART_FLOATS;
    const struct window_attention_span span = p.span[blockIdx.y];
    const size_t at = ((size_t)blockIdx.y * p.n_heads + blockIdx.x) * p.head_dim;
    float sum = 0.0f;

    rotate_q(p, p.q + at, span.n, q);
    __syncthreads();
    const float largest = reduce_block_max(write_scores(p, span, q, score), reduce);
    for (uint32_t i = threadIdx.x; i < span.n; i += THREADS) {
        score[i] = expf(score[i] - largest);
        sum += score[i];
    }
    sum = reduce_block_sum(sum, reduce); /* its barriers also show the weights to all */
    write_out(p, span, score, sum, part, p.out + at);
}

static enum status launch_window(struct device *dev, const struct window_attention_args *a,
                                 const struct window_attention_span *span, size_t shared_bytes,
                                 struct err *err)
{
    struct window_params p;
    const void *at;
    enum status st;

    st = op_cuda_begin(dev, "window_attention", span, (size_t)a->n_rows * sizeof *span, &at, err);
    if (st != ST_OK)
        return st;
    memset(&p, 0, sizeof p);
    p.out = a->out;
    p.q = a->q;
    p.k = a->k;
    p.v = a->v;
    p.cos = a->cos;
    p.sin = a->sin;
    p.span = (const struct window_attention_span *)at;
    p.n_heads = (uint32_t)a->n_heads;
    p.n_kv_heads = (uint32_t)a->n_kv_heads;
    p.head_dim = (uint32_t)a->head_dim;
    p.n_sinks = a->n_sinks;
    p.n_ring = a->n_ring;
    p.scale = a->scale;
    return cuda_launch_early(dev, window_attention_kernel,
                             dim3((unsigned)a->n_heads, (unsigned)a->n_rows), dim3(THREADS),
                             shared_bytes, p, err);
}

extern "C" enum status window_attention_cuda(struct device *dev,
                                             const struct window_attention_args *a, struct err *err)
{
    const size_t n_tokens = (size_t)a->n_sinks + a->n_window;
    const size_t floats = (size_t)a->head_dim + PART_FLOATS + n_tokens;
    const size_t most = device_cuda_limits(dev)->shared_per_block - REDUCE_SHARED * sizeof(float);
    enum status st = window_attention_check(a, err);

    if (st != ST_OK)
        return st;
    if (a->head_dim % 8 != 0 || a->head_dim > THREADS * 4)
        return err_set(err, ST_INVALID, "head_dim %d: must be a multiple of 8, at most %d",
                       a->head_dim, THREADS * 4);
    if (floats * sizeof(float) > most)
        return err_set(err, ST_INVALID,
                       "a draft window of %zu tokens: this GPU's shared memory holds %zu", n_tokens,
                       most / sizeof(float) - (size_t)a->head_dim - PART_FLOATS);
    if (a->n_rows <= 0)
        return ST_OK;

    struct window_attention_span *span =
        (struct window_attention_span *)mem_array((size_t)a->n_rows, sizeof *span);
    for (int r = 0; r < a->n_rows; r++)
        span[r] = window_attention_span(a, a->pos[r]);
    st = launch_window(dev, a, span, floats * sizeof(float), err);
    free(span);
    return st;
}
