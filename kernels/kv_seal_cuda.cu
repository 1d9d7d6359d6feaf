/*
 * A block seals K or V of one KV head of one page, in three steps over the same
 * units (kv_read_cuda.cuh), of which the second read comes from L2 or L1: the
 * ranges of the channels, in shared memory; their scales; the quantized bytes,
 * 16 at a time. Maxima do not depend on order, and all that rounds is written
 * with explicit operations, so that the bytes are those of kv_format_ops seal.
 *
 * Error sums are doubles: over a thread's units in order, over the block and then
 * over all blocks as fixed trees.
 */
#include <stdlib.h>

#include "kernels/kv_read_cuda.cuh"
#include "kernels/op_cuda.cuh"
#include "kernels/reduce_cuda.cuh"

extern "C" {
#include "common/mem.h"
}

enum { THREADS = 256, SUM_THREADS = 256 };

struct seal_page {
    const char *in;
    char *out;
};

struct seal_params {
    const struct seal_page *page; /* [n_pages] */
    double *sums;                 /* [n_blocks][2]: of (x - sealed)^2 and x^2; NULL: nobody asks */
    struct kv_read_format from, to;
    uint32_t n_heads;
};

/* A channel's range as order keys of floats: larger keys are larger floats. */
struct seal_channels {
    uint32_t max[KV_MAX_HEAD_DIM]; /* int8: of |x| */
    uint32_t not_min[KV_MAX_HEAD_DIM];
    float scale[KV_MAX_HEAD_DIM], min[KV_MAX_HEAD_DIM];
};

static __device__ __forceinline__ uint32_t order_key(float x)
{
    const uint32_t bits = __float_as_uint(x);

    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static __device__ __forceinline__ float key_float(uint32_t key)
{
    return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

/* K's channels are dimensions, V's are tokens. */
static __device__ __forceinline__ uint32_t channel_of(uint32_t unit, uint32_t D, bool is_v)
{
    return is_v ? unit / (D / KV_UNIT) : unit % D;
}

/* Puts the units' ranges into the channels. The `width` lanes that share a token
 * of V agree first, which saves most collisions in shared memory; at most
 * 32, since head_dim is at most 256. */
template <int TO>
static __device__ void find_ranges(const struct seal_params &p, const char *in, bool is_v,
                                   struct seal_channels *channels)
{
    const uint32_t D = p.from.head_dim, n = (uint32_t)PAGE_TOKENS * D / KV_UNIT,
                   units = D / KV_UNIT;
    const uint32_t width = is_v ? units & (0u - units) : 1;

    /* n is a multiple of 32 lanes: head_dim is one of 8, and 16 panels lie under it. */
    for (uint32_t u = threadIdx.x; u < n; u += THREADS) {
        const uint32_t c = channel_of(u, D, is_v);
        float x[KV_UNIT], hi, lo;

        kv_read_unit(p.from.format, in, u, x);
        hi = TO == KV_INT8 ? fabsf(x[0]) : x[0];
        lo = x[0];
#pragma unroll
        for (int i = 1; i < KV_UNIT; i++) {
            hi = fmaxf(hi, TO == KV_INT8 ? fabsf(x[i]) : x[i]);
            lo = fminf(lo, x[i]);
        }
        for (uint32_t w = width / 2; w > 0; w /= 2) {
            hi = fmaxf(hi, __shfl_xor_sync(WARP_ALL, hi, (int)w));
            if (TO == KV_INT4)
                lo = fminf(lo, __shfl_xor_sync(WARP_ALL, lo, (int)w));
        }
        if (threadIdx.x % width != 0)
            continue;
        atomicMax(&channels->max[c], order_key(hi));
        if (TO == KV_INT4)
            atomicMax(&channels->not_min[c], ~order_key(lo));
    }
}

/* kv_quant.h's scales; also to their place in the page. */
template <int TO>
static __device__ void find_scales(struct seal_channels *channels, uint32_t n, float *out)
{
    for (uint32_t c = threadIdx.x; c < n; c += THREADS) {
        float max = key_float(channels->max[c]), min = 0.0f;

        if (TO == KV_INT4) {
            /* + 0: which zero is the least of both signs must not matter. */
            max = __fadd_rn(max, 0.0f);
            min = __fadd_rn(key_float(~channels->not_min[c]), 0.0f);
            channels->scale[c] = __fdiv_rn(__fsub_rn(max, min), 15.0f);
            out[n + c] = min;
        } else {
            channels->scale[c] = __fdiv_rn(max, 127.0f);
        }
        channels->min[c] = min;
        out[c] = channels->scale[c];
    }
}

/* kv_quant.h's nearest q, as a float. */
template <int TO> static __device__ __forceinline__ float quantize(float x, float scale, float min)
{
    if (!(scale > 0.0f))
        return 0.0f;
    if (TO == KV_INT8) {
        float q = rintf(__fdiv_rn(x, scale));
        return q > -127.0f ? (q < 127.0f ? q : 127.0f) : -127.0f;
    }
    float q = rintf(__fdiv_rn(__fsub_rn(x, min), scale));
    return q > 0.0f ? (q < 15.0f ? q : 15.0f) : 0.0f;
}

static __device__ __forceinline__ void add_error(double sums[2], float x, float sealed)
{
    const double e = (double)x - (double)sealed;

    sums[0] += e * e;
    sums[1] += (double)x * (double)x;
}

/* Quantizes unit u into the even (odd = 0) or odd bytes of 16. */
template <int TO>
static __device__ __forceinline__ void
quantize_unit(const struct seal_params &p, const char *in, uint32_t u, bool is_v,
              const struct seal_channels *channels, uint32_t bits, uint32_t word[4], double sums[2])
{
    const uint32_t c = channel_of(u, p.from.head_dim, is_v);
    const float scale = channels->scale[c], min = channels->min[c];
    float x[KV_UNIT];

    kv_read_unit(p.from.format, in, u, x);
#pragma unroll
    for (int i = 0; i < KV_UNIT; i++) {
        const float q = quantize<TO>(x[i], scale, min);

        word[i / 2] |= ((uint32_t)(int)q & 0xffu) << (16 * (i % 2) + (int)bits);
        if (p.sums != NULL)
            add_error(sums, x[i], kv_read_scale((enum kv_format)TO, q, scale, min));
    }
}

/* The bytes' units: 16 bytes hold units a and a + step, and for int4 the units
 * `above` further on in the high nibbles. */
template <int TO>
static __device__ void write_quantized(const struct seal_params &p, const char *in, char *out,
                                       bool is_v, const struct seal_channels *channels,
                                       double sums[2])
{
    const uint32_t D = p.from.head_dim, row = is_v ? D / KV_UNIT : D / 2;
    const uint32_t lines = TO == KV_INT8 ? 1 : 2, n = p.to.scales / 16;
    const uint32_t step = is_v ? D / KV_UNIT : 1, above = is_v ? 2 * (D / KV_UNIT) : D;

    for (uint32_t o = threadIdx.x; o < n; o += THREADS) {
        const uint32_t line = o / row, j = o % row;
        const uint32_t a = line * lines * above + (is_v ? j : 2 * j);
        uint32_t word[4] = {0, 0, 0, 0};

        quantize_unit<TO>(p, in, a, is_v, channels, 0, word, sums);
        quantize_unit<TO>(p, in, a + step, is_v, channels, 8, word, sums);
        if (TO == KV_INT4) {
            quantize_unit<TO>(p, in, a + above, is_v, channels, 4, word, sums);
            quantize_unit<TO>(p, in, a + above + step, is_v, channels, 12, word, sums);
        }
        ((uint4 *)out)[o] = make_uint4(word[0], word[1], word[2], word[3]);
    }
}

static __device__ void write_plain(const struct seal_params &p, const char *in, char *out,
                                   double sums[2])
{
    const uint32_t n = (uint32_t)PAGE_TOKENS * p.from.head_dim / KV_UNIT;

    for (uint32_t u = threadIdx.x; u < n; u += THREADS) {
        float x[KV_UNIT];

        kv_read_unit(p.from.format, in, u, x);
        kv_write_unit(p.to.format, out, u, x);
#pragma unroll
        for (int i = 0; i < KV_UNIT; i++)
            if (p.sums != NULL)
                add_error(sums, x[i],
                          p.to.format == KV_F16 ? ptx_f16_to_f32(ptx_f32_to_f16(x[i])) : x[i]);
    }
}

/* out[0..1] = the block's sums, as a tree over `shared`, [2][THREADS]. */
static __device__ void store_sums(const double sums[2], double *shared, double *out)
{
    shared[threadIdx.x] = sums[0];
    shared[THREADS + threadIdx.x] = sums[1];
    __syncthreads();
    for (uint32_t n = THREADS / 2; n > 0; n /= 2) {
        if (threadIdx.x < n) {
            shared[threadIdx.x] += shared[threadIdx.x + n];
            shared[THREADS + threadIdx.x] += shared[THREADS + threadIdx.x + n];
        }
        __syncthreads();
    }
    if (threadIdx.x < 2)
        out[threadIdx.x] = shared[threadIdx.x * THREADS];
}

/* Block 2 * (page * n_heads + head) is K, the one after it V. */
template <int TO>
static __global__ void __launch_bounds__(THREADS) seal_kernel(struct seal_params p)
{
    op_cuda_start();
    __shared__ struct seal_channels channels;
    __shared__ double shared[2 * THREADS];
    const bool is_v = blockIdx.x % 2 == 1;
    const uint32_t task = blockIdx.x / 2, h = task % p.n_heads;
    const struct seal_page page = p.page[task / p.n_heads];
    const char *in = page.in + (size_t)h * p.from.head_bytes + (is_v ? p.from.v_bytes : 0);
    char *out = page.out + (size_t)h * p.to.head_bytes + (is_v ? p.to.v_bytes : 0);
    double sums[2] = {0.0, 0.0};

    if (TO == KV_INT8 || TO == KV_INT4) {
        const uint32_t n_channels = is_v ? (uint32_t)PAGE_TOKENS : p.from.head_dim;
        for (uint32_t c = threadIdx.x; c < n_channels; c += THREADS)
            channels.max[c] = channels.not_min[c] = 0;
        __syncthreads();
        find_ranges<TO>(p, in, is_v, &channels);
        __syncthreads();
        find_scales<TO>(&channels, n_channels, (float *)(out + p.to.scales));
        __syncthreads();
        write_quantized<TO>(p, in, out, is_v, &channels, sums);
    } else {
        write_plain(p, in, out, sums);
    }
    if (p.sums != NULL)
        store_sums(sums, shared, p.sums + 2 * (size_t)blockIdx.x);
}

struct sum_params {
    const double *sums; /* [n_tasks][K, V][2] */
    double *total;      /* [K, V][2] */
    uint32_t n_tasks;
};

/* Block 0 adds up K's sums, block 1 V's. */
static __global__ void __launch_bounds__(THREADS) seal_sum_kernel(struct sum_params p)
{
    op_cuda_start();
    __shared__ double shared[2 * THREADS];
    double sums[2] = {0.0, 0.0};

    for (uint32_t i = threadIdx.x; i < p.n_tasks; i += THREADS) {
        const double *at = p.sums + 4 * (size_t)i + 2 * blockIdx.x;
        sums[0] += at[0];
        sums[1] += at[1];
    }
    store_sums(sums, shared, p.total + 2 * blockIdx.x);
}

static enum status launch_seal(struct device *dev, const struct seal_params *p,
                               enum kv_format format, uint32_t n_blocks, struct err *err)
{
    void (*kernel)(struct seal_params) = format == KV_INT8   ? seal_kernel<KV_INT8>
                                         : format == KV_INT4 ? seal_kernel<KV_INT4>
                                                             : seal_kernel<KV_F16>;

    return cuda_launch_early(dev, kernel, dim3(n_blocks), dim3(THREADS), 0, *p, err);
}

static enum status launch_sums(struct device *dev, const struct kv_seal_args *a, const double *sums,
                               double *total, struct err *err)
{
    double host[4];
    struct sum_params p;
    enum status st;

    memset(&p, 0, sizeof p);
    p.sums = sums;
    p.total = total;
    p.n_tasks = (uint32_t)a->n_pages * a->shape.n_kv_heads;
    st = cuda_launch_early(dev, seal_sum_kernel, dim3(2), dim3(THREADS), 0, p, err);
    if (st == ST_OK)
        st = device_cuda_read(dev, host, total, sizeof host, err);
    for (int i = 0; st == ST_OK && i < 2; i++) {
        if (a->k_error != NULL)
            a->k_error[i] += host[i];
        if (a->v_error != NULL)
            a->v_error[i] += host[2 + i];
    }
    return st;
}

static enum status seal_pages(struct device *dev, const struct kv_seal_args *a,
                              const struct seal_page *page, struct err *err)
{
    const size_t n_tasks = (size_t)a->n_pages * a->shape.n_kv_heads;
    const size_t page_bytes = (size_t)a->n_pages * sizeof *page;
    const bool asked = a->k_error != NULL || a->v_error != NULL;
    const struct device_cuda_op op = {"kv_seal", op_cuda_round(page_bytes),
                                      asked ? (4 * n_tasks + 4) * sizeof(double) : 0,
                                      asked ? 2 : 1};
    struct seal_params p;
    void *scratch = NULL;
    const void *pages;
    enum status st;

    st = device_cuda_begin(dev, &op, &scratch, err);
    if (st == ST_OK)
        st = device_cuda_args(dev, page, page_bytes, &pages, err);
    if (st != ST_OK)
        return st;
    memset(&p, 0, sizeof p);
    p.page = (const struct seal_page *)pages;
    p.sums = asked ? (double *)scratch + 4 : NULL;
    p.from = kv_read_format(a->from_format, a->shape.head_dim);
    p.to = kv_read_format(a->to_format, a->shape.head_dim);
    p.n_heads = a->shape.n_kv_heads;
    st = launch_seal(dev, &p, a->to_format, (uint32_t)(2 * n_tasks), err);
    if (st == ST_OK && asked)
        st = launch_sums(dev, a, p.sums, (double *)scratch, err);
    return st;
}

extern "C" enum status kv_seal_cuda(struct device *dev, const struct kv_seal_args *a,
                                    struct err *err)
{
    if (kv_format_is_quantized(a->from_format))
        return err_set(err, ST_INVALID, "a sealed %s page cannot be sealed again",
                       kv_format_ops(a->from_format)->name);
    if (a->n_pages <= 0 || a->shape.n_kv_heads == 0)
        return ST_OK;

    struct seal_page *page = (struct seal_page *)mem_array((size_t)a->n_pages, sizeof *page);
    for (int i = 0; i < a->n_pages; i++) {
        page[i].in = (const char *)a->in[i];
        page[i].out = (char *)a->out[i];
    }
    enum status st = seal_pages(dev, a, page, err);
    free(page);
    return st;
}
