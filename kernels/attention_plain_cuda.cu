/*
 * Attention for every head_dim and format that the fast kernel has no shape for: f32 proofs, and
 * models whose head_dim is not 64, 128 or 256.
 *
 * One block per query row, KV head and split; a page is read once for each query row. A thread is
 * first a token, then a dimension. Sums are in f32, in the order of dimensions and of tokens.
 */
#include "kernels/attention_cuda.cuh"
#include "kernels/cuda_launch.cuh"
#include "kernels/cuda_ptx.cuh"

#include <string.h>

enum { PLAIN_THREADS = PAGE_TOKENS, PLAIN_DIMS = KV_MAX_HEAD_DIM / PLAIN_THREADS };

/* One KV head's section of a page in one form. */
struct plain_head {
    const char *k;
    uint32_t head_dim, format;
};

static __device__ float plain_number(const char *at, uint32_t format, size_t i)
{
    if (format == KV_F32)
        return reinterpret_cast<const float *>(at)[i];
    return ptx_f16_to_f32(reinterpret_cast<const uint16_t *>(at)[i]);
}

static __device__ float plain_k(const plain_head &head, uint32_t t, uint32_t d)
{
    const uint32_t D = head.head_dim;
    const float *scale;

    if (head.format == KV_F32 || head.format == KV_F16)
        return plain_number(head.k, head.format, ((size_t)(t / 8) * D + d) * 8 + t % 8);
    if (head.format == KV_INT8) {
        const size_t at = (((size_t)(t / 8) * (D / 2) + d / 2) * 8 + t % 8) * 2 + d % 2;
        scale = reinterpret_cast<const float *>(head.k + (size_t)PAGE_TOKENS * D);
        return scale[d] * (float)(signed char)head.k[at];
    }
    const size_t at = (((size_t)(t / 16) * (D / 2) + d / 2) * 8 + t % 8) * 2 + d % 2;
    scale = reinterpret_cast<const float *>(head.k + (size_t)PAGE_TOKENS * D / 2);
    return fmaf(scale[d], (float)((unsigned char)head.k[at] >> (t / 8 % 2 * 4) & 15), scale[D + d]);
}

static __device__ float plain_v(const plain_head &head, uint32_t t, uint32_t d)
{
    const size_t D = head.head_dim, n = PAGE_TOKENS * D;
    const float *scale;

    if (head.format == KV_F32 || head.format == KV_F16)
        return plain_number(head.k + n * (head.format == KV_F32 ? 4 : 2), head.format, t * D + d);
    if (head.format == KV_INT8) {
        const char *v = head.k + n + 4 * D;
        scale = reinterpret_cast<const float *>(v + n);
        return scale[t] * (float)(signed char)v[(t / 2 * D + d) * 2 + t % 2];
    }
    const char *v = head.k + n / 2 + 8 * D;
    const unsigned char x = (unsigned char)v[(t / 4 * D + d) * 2 + t % 2];
    scale = reinterpret_cast<const float *>(v + n / 2);
    return fmaf(scale[t], (float)(x >> (t / 2 % 2 * 4) & 15), scale[PAGE_TOKENS + t]);
}

/* Greatest (want_max) or sum of the block's x, by one order, for all threads. */
static __device__ float plain_over_block(float x, bool want_max, float *of_warp)
{
    for (int step = 16; step > 0; step /= 2) {
        const float other = __shfl_xor_sync(0xffffffffu, x, step);
        x = want_max ? fmaxf(x, other) : x + other;
    }
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = x;
    __syncthreads();
    x = of_warp[0];
    for (int w = 1; w < PLAIN_THREADS / 32; w++)
        x = want_max ? fmaxf(x, of_warp[w]) : x + of_warp[w];
    __syncthreads();
    return x;
}

/* A row's state; `acc` is of the thread's dimensions. */
struct plain_state {
    float max, sum, acc[PLAIN_DIMS];
};

/* Tokens lo .. hi-1 of a page into the state. */
static __device__ void plain_fold(plain_state *state, const plain_head &head, uint32_t lo,
                                  uint32_t hi, const float *q, float *p)
{
    __shared__ float of_warp[PLAIN_THREADS / 32];
    const uint32_t t = threadIdx.x;
    float s = -INFINITY, x = 0.0f;

    if (t >= lo && t < hi) {
        for (uint32_t d = 0; d < head.head_dim; d++)
            x = fmaf(q[d], plain_k(head, t, d), x);
        s = x;
    }
    const float most = fmaxf(state->max, plain_over_block(s, true, of_warp));
    const float alpha = exp2f(state->max - most);
    p[t] = s = exp2f(s - most);
    state->sum = fmaf(state->sum, alpha, plain_over_block(s, false, of_warp));
    state->max = most;
    for (uint32_t i = 0, d = threadIdx.x; i < PLAIN_DIMS; i++, d += PLAIN_THREADS) {
        float sum = 0.0f;
        for (uint32_t token = lo; token < hi && d < head.head_dim; token++)
            sum = fmaf(p[token], plain_v(head, token, d), sum);
        state->acc[i] = fmaf(state->acc[i], alpha, sum);
    }
    __syncthreads();
}

static __device__ void plain_finish(const plain_state &state, const attention_cuda_params &p)
{
    const size_t at = attention_state_at(p, blockIdx.y, blockIdx.x, blockIdx.z);
    float *out =
        p.direct ? p.out + attention_at(p, blockIdx.x, blockIdx.z) : p.acc + at * p.head_dim;
    const float shrink = p.direct ? 1.0f / state.sum : 1.0f;

    if (!p.direct && threadIdx.x == 0)
        p.state[at] = make_float2(state.max, state.sum);
    for (uint32_t i = 0, d = threadIdx.x; i < PLAIN_DIMS; i++, d += PLAIN_THREADS)
        if (d < p.head_dim)
            out[d] = state.acc[i] * shrink;
}

static __global__ void __launch_bounds__(PLAIN_THREADS)
    attention_plain_kernel(struct attention_cuda_params p)
{
    __shared__ float q[KV_MAX_HEAD_DIM], weight[PAGE_TOKENS];
    const attention_cuda_span span = *p.span;

    if (blockIdx.y >= span.n_splits)
        return;
    const uint32_t limit = p.limit[blockIdx.z / (uint32_t)p.group];
    const uint32_t first = p.window > 0 && limit > p.window ? limit - p.window : 0;
    const uint32_t begin = span.first_page + blockIdx.y * p.split_pages;
    const uint32_t end = min(begin + p.split_pages, (limit - 1) / PAGE_TOKENS + 1);
    plain_state state = {-INFINITY, 0.0f, {0.0f, 0.0f}};

    for (uint32_t d = threadIdx.x; d < p.head_dim; d += PLAIN_THREADS)
        q[d] = p.q[attention_at(p, blockIdx.x, blockIdx.z) + d] * p.scale;
    __syncthreads();
    for (uint32_t page = max(begin, first / PAGE_TOKENS); page < end; page++) {
        const attention_cuda_page form = p.pages[page - span.first_page];
        const bool sealed = form.sealed != nullptr && attention_reads(&form, true, page, limit);
        const uint32_t token = page * PAGE_TOKENS;
        const plain_head head = {sealed ? form.sealed + blockIdx.x * p.sealed_head_bytes
                                        : form.tail + blockIdx.x * p.tail_head_bytes,
                                 p.head_dim, sealed ? p.sealed_format : p.tail_format};
        plain_fold(&state, head, first > token ? first - token : 0,
                   min(limit - token, (uint32_t)PAGE_TOKENS), q, weight);
    }
    plain_finish(state, p);
}

enum status attention_plain(struct device *dev, const struct attention_cuda_plan *plan,
                            struct err *err)
{
    const struct attention_cuda_params *p = &plan->params;
    const dim3 grid((unsigned)p->n_kv, (unsigned)plan->n_splits, (unsigned)(p->n_rows * p->group));

    return cuda_launch(dev, attention_plain_kernel, grid, dim3(PLAIN_THREADS), 0, *p, err);
}
