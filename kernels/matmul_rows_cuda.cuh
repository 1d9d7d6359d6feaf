/*
 * matmul_rows_cuda.cuh - a few rows times 16-bit weights, bound by the reading of
 * the weights.
 *
 * Tensor cores multiply 16 outputs x 16 k by 16 k x 8 rows with f32 sums. Weights
 * go as they are; an activation is cut into parts of the weights' type whose sum
 * is the activation to f32's precision: three of bf16 (8 bits each), or two of
 * f16 (11 bits each) after scaling a row's step of 64 by a power of two, which
 * keeps both parts in f16's range. An infinite activation gives NaN.
 *
 * A sum does not care in which order k comes, so a lane takes for its fragments
 * what it can load in one piece: lane t of four takes k = 8t .. 8t+7 of every 32,
 * 16 bytes of a weight row, and the parts lie in shared memory in the same order.
 * Weights never pass through shared memory: a warp has one step (64 k of each of
 * its outputs) in flight while it multiplies the one before.
 *
 * A block has ROWS_WARPS warps: MW side by side over outputs, MT * 16 outputs
 * each, and the others over steps. Blocks may share the k of an output tile
 * (n_split); the last to finish adds what all have left, in their order. Which
 * step goes where depends on n_in, n_out and the device alone, so a row's bits do
 * not depend on the rows beside it: NT, the tiles of 8 rows, and the length of a
 * chunk, which are chosen by the number of rows, do not change any sum's order.
 */
#ifndef KERNELS_MATMUL_ROWS_CUDA_CUH
#define KERNELS_MATMUL_ROWS_CUDA_CUH

#include "kernels/cuda_ptx.cuh"

extern "C" {
#include "kernels/matmul.h"
}

enum {
    ROWS_WARPS = 8,
    ROWS_THREADS = 32 * ROWS_WARPS,
    ROWS_STEP = 64,     /* k per step: 128 bytes of a weight row */
    ROWS_REDUCE_PAD = 4 /* floats; a fragment's store meets every bank once */
};

struct matmul_rows_params {
    float *out;
    const float *x;
    const unsigned char *w;
    const float *bias;
    float *partial; /* [n_split, n_rows, n_tiles * outs] where n_split > 1 */
    unsigned *done; /* [row groups, n_tiles] splits that have left their part; zero at start */
    int n_rows, n_in, n_out;
    int n_steps, n_split;
    int chunk_shift; /* 1 << chunk_shift steps of x lie in shared memory at a time */
    int accumulate, x_aligned;
};

/* Units of x that a thread has in flight while it stages; what registers allow. */
template <int NT> static constexpr int matmul_rows_stage_units = NT > 3 ? 2 : 4;

/* Parts that an activation is cut into. */
template <enum weight_type TYPE>
static constexpr int matmul_rows_parts = TYPE == WEIGHT_BF16 ? 3 : 2;

/* Shared memory in bytes: a step of x in parts, its scales, and the sums of a block. */
static inline size_t matmul_rows_step_bytes(int type, int nt)
{
    int parts = type == WEIGHT_BF16 ? 3 : 2;

    return (size_t)nt * (2u * (size_t)parts * 32 * sizeof(uint4) + 8 * sizeof(float));
}

static inline size_t matmul_rows_reduce_bytes(int nt, int mw, int mt)
{
    return (size_t)(ROWS_WARPS / mw) * (size_t)nt * 8 * (size_t)(mw * mt * 16 + ROWS_REDUCE_PAD) *
           sizeof(float);
}

template <enum weight_type TYPE>
static __device__ __forceinline__ void matmul_rows_mma(float d[4], const uint32_t a[4],
                                                       const uint32_t b[2])
{
    if (TYPE == WEIGHT_BF16)
        ptx_mma_bf16(d, a, b);
    else
        ptx_mma_f16(d, a, b);
}

/* Two activations as pairs, largest part first. */
template <enum weight_type TYPE>
static __device__ __forceinline__ void matmul_rows_split(uint32_t part[3], float lo, float hi)
{
#pragma unroll
    for (int i = 0; i < matmul_rows_parts<TYPE>; i++) {
        part[i] = TYPE == WEIGHT_BF16 ? ptx_pack_bf16x2(lo, hi) : ptx_pack_f16x2(lo, hi);
        lo -= TYPE == WEIGHT_BF16 ? ptx_bf16_lo(part[i]) : ptx_f16_lo(part[i]);
        hi -= TYPE == WEIGHT_BF16 ? ptx_bf16_hi(part[i]) : ptx_f16_hi(part[i]);
    }
}

/* The power of two, as its f32 exponent, that brings `bits`, the largest of some
 * magnitudes, to 2^14 .. 2^15: 268 - exponent, kept where its inverse is normal. */
static __device__ __forceinline__ uint32_t matmul_rows_scale_exponent(uint32_t bits)
{
    uint32_t exponent = 268u - (bits >> 23);

    return exponent > 253u ? 253u : exponent;
}

/* 8 activations of a row from k on; zeros where nothing is. */
static __device__ __forceinline__ void
matmul_rows_load_x(float v[8], const struct matmul_rows_params &p, int row, int k, bool is_there)
{
    const float *x = p.x + (size_t)row * (size_t)p.n_in + k;
    float4 lo = make_float4(0, 0, 0, 0), hi = lo;

    if (is_there && p.x_aligned) {
        lo = __ldg(reinterpret_cast<const float4 *>(x));
        hi = __ldg(reinterpret_cast<const float4 *>(x) + 1);
    } else if (is_there) {
        lo = make_float4(x[0], x[1], x[2], x[3]);
        hi = make_float4(x[4], x[5], x[6], x[7]);
    }
    v[0] = lo.x, v[1] = lo.y, v[2] = lo.z, v[3] = lo.w;
    v[4] = hi.x, v[5] = hi.y, v[6] = hi.z, v[7] = hi.w;
}

/* Cuts 8 activations of one row into parts and puts them where lane (row % 8, t)
 * of a multiplying warp reads them. The 8 lanes of a row's step call together. */
template <enum weight_type TYPE, int NT>
static __device__ __forceinline__ void matmul_rows_store_x(uint4 *stage, float *inverse, float v[8],
                                                           int row, int step, int q)
{
    const int parts = matmul_rows_parts<TYPE>;
    uint4 *at = stage + (((step * 2 + q / 4) * NT + row / 8) * parts) * 32 + row % 8 * 4 + q % 4;
    uint32_t pair[4][3];

    if (TYPE == WEIGHT_F16) {
        uint32_t bits = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            uint32_t magnitude = __float_as_uint(v[i]) & 0x7fffffffu;
            bits = magnitude > bits ? magnitude : bits;
        }
#pragma unroll
        for (int lane = 1; lane < 8; lane *= 2) {
            uint32_t other = __shfl_xor_sync(0xffffffffu, bits, lane);
            bits = other > bits ? other : bits;
        }
        uint32_t exponent = matmul_rows_scale_exponent(bits);
        float scale = __uint_as_float(exponent << 23);
#pragma unroll
        for (int i = 0; i < 8; i++)
            v[i] *= scale;
        if (q == 0)
            inverse[step * NT * 8 + row] = __uint_as_float((254u - exponent) << 23);
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        matmul_rows_split<TYPE>(pair[i], v[2 * i], v[2 * i + 1]);
#pragma unroll
    for (int i = 0; i < parts; i++)
        at[i * 32] = make_uint4(pair[0][i], pair[1][i], pair[2][i], pair[3][i]);
}

/* Steps from `first` to the chunk's end of x into shared memory. A unit is 4
 * steps of one row, one warp's work; 8 lanes take a step, 8 activations each. */
template <enum weight_type TYPE, int NT>
static __device__ __forceinline__ void matmul_rows_stage(uint4 *stage, float *inverse,
                                                         const struct matmul_rows_params &p,
                                                         int first, int n_steps)
{
    const int units = matmul_rows_stage_units<NT>;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, q = lane % 8;
    int shift = p.chunk_shift - 2, n_units = NT * 8 << shift;
    int row0 = (int)blockIdx.z * NT * 8;

    for (int u0 = warp; u0 < n_units; u0 += ROWS_WARPS * units) {
        float v[units][8];
#pragma unroll
        for (int i = 0; i < units; i++) {
            int u = u0 + i * ROWS_WARPS, row = row0 + (u >> shift);
            int step = (u & ((1 << shift) - 1)) * 4 + lane / 8;
            int k = (first + step) * ROWS_STEP + q * 8;
            matmul_rows_load_x(v[i], p, row, k, row < p.n_rows && step < n_steps && k < p.n_in);
        }
#pragma unroll
        for (int i = 0; i < units; i++) {
            int u = u0 + i * ROWS_WARPS, group = u & ((1 << shift) - 1);
            if (u < n_units && group * 4 < n_steps)
                matmul_rows_store_x<TYPE, NT>(stage, inverse, v[i], u >> shift,
                                              group * 4 + lane / 8, q);
        }
    }
}

/* One step of this lane's weights: [16 outputs][outputs g, g + 8][halves of 32 k].
 * Past n_in the last weights are read again; x is zero there. */
template <int MT>
static __device__ __forceinline__ void
matmul_rows_load_w(uint4 a[MT][2][2], const unsigned char *const row[MT][2], int step, int n_in)
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int k = step * ROWS_STEP + half * 32 + (int)threadIdx.x % 4 * 8;
        size_t at = (size_t)(k < n_in ? k : n_in - 8) * 2;
#pragma unroll
        for (int m = 0; m < MT; m++) {
            a[m][0][half] = ptx_load_stream(row[m][0] + at);
            a[m][1][half] = ptx_load_stream(row[m][1] + at);
        }
    }
}

/* acc += one step of weights times all rows; smallest parts first. `b` and
 * `inverse` are the step's. The step's own sum keeps the tensor cores' truncation
 * small beside the whole sum, which is added with rounding. */
template <enum weight_type TYPE, int NT, int MT>
static __device__ __forceinline__ void matmul_rows_multiply(float acc[NT][MT][4],
                                                            const uint4 a[MT][2][2], const uint4 *b,
                                                            const float *inverse)
{
    const int lane = (int)threadIdx.x % 32, parts = matmul_rows_parts<TYPE>;

#pragma unroll
    for (int n = 0; n < NT; n++) {
        float sum[MT][4] = {};
#pragma unroll
        for (int i = 2 * parts - 1; i >= 0; i--) {
            const int half = i % 2, part = i / 2;
            uint4 x = b[((half * NT + n) * parts + part) * 32 + lane];
            const uint32_t x0[2] = {x.x, x.y}, x1[2] = {x.z, x.w};
#pragma unroll
            for (int m = 0; m < MT; m++) {
                uint4 lo = a[m][0][half], hi = a[m][1][half];
                const uint32_t a0[4] = {lo.x, hi.x, lo.y, hi.y};
                const uint32_t a1[4] = {lo.z, hi.z, lo.w, hi.w};
                matmul_rows_mma<TYPE>(sum[m], a0, x0);
                matmul_rows_mma<TYPE>(sum[m], a1, x1);
            }
        }
        float2 scale = make_float2(1.0f, 1.0f);
        if (TYPE == WEIGHT_F16)
            scale = *reinterpret_cast<const float2 *>(inverse + n * 8 + lane % 4 * 2);
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                acc[n][m][i] = fmaf(sum[m][i], i % 2 == 0 ? scale.x : scale.y, acc[n][m][i]);
    }
}

/* Four neighbouring outputs of a row, which are all there or partly past n_out. */
static __device__ __forceinline__ void matmul_rows_put(const struct matmul_rows_params &p, int row,
                                                       int o, float4 sum)
{
    float v[4] = {sum.x, sum.y, sum.z, sum.w};
    float *out = p.out + (size_t)row * (size_t)p.n_out + o;

#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (o + i >= p.n_out)
            break;
        if (p.bias != NULL)
            v[i] += p.bias[o + i];
        out[i] = p.accumulate ? v[i] + out[i] : v[i];
    }
}

static __device__ __forceinline__ float4 matmul_rows_add4(float4 a, float4 b)
{
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

/* The last of an output tile's splits to come here adds all of them. */
template <int NT, int OUTS>
static __device__ __forceinline__ void matmul_rows_join(const struct matmul_rows_params &p,
                                                        int n_live)
{
    __shared__ unsigned n_before;
    size_t pitch = (size_t)gridDim.x * OUTS, split = (size_t)p.n_rows * pitch;
    int row0 = (int)blockIdx.z * NT * 8;

    __threadfence(); /* this thread's part is seen before the count is */
    __syncthreads();
    if (threadIdx.x == 0) {
        unsigned *done = p.done + blockIdx.z * gridDim.x + blockIdx.x;
        n_before = atomicInc(done, (unsigned)p.n_split - 1);
        __threadfence();
    }
    __syncthreads();
    if (n_before != (unsigned)p.n_split - 1)
        return;
    for (int i = (int)threadIdx.x; i < n_live * (OUTS / 4); i += ROWS_THREADS) {
        int row = row0 + i / (OUTS / 4), o = i % (OUTS / 4) * 4;
        const float *at = p.partial + (size_t)row * pitch + (size_t)blockIdx.x * OUTS + o;
        float4 sum = *reinterpret_cast<const float4 *>(at);
#pragma unroll 4
        for (int s = 1; s < p.n_split; s++)
            sum = matmul_rows_add4(sum, *reinterpret_cast<const float4 *>(at + (size_t)s * split));
        matmul_rows_put(p, row, (int)blockIdx.x * OUTS + o, sum);
    }
}

/* Adds the sums of the block's step groups in their order and gives them away. */
template <int NT, int MW, int MT>
static __device__ __forceinline__ void matmul_rows_reduce(const struct matmul_rows_params &p,
                                                          float *sums, const float acc[NT][MT][4])
{
    const int KW = ROWS_WARPS / MW, OUTS = MW * MT * 16, PITCH = OUTS + ROWS_REDUCE_PAD;
    int warp = (int)threadIdx.x / 32, g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
    int row0 = (int)blockIdx.z * NT * 8;
    int n_live = p.n_rows - row0 < NT * 8 ? p.n_rows - row0 : NT * 8;
    float *own = sums + warp / MW * (NT * 8 * PITCH) + warp % MW * (MT * 16) + g;

#pragma unroll
    for (int n = 0; n < NT; n++)
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                own[(n * 8 + t * 2 + i % 2) * PITCH + m * 16 + i / 2 * 8] = acc[n][m][i];
    __syncthreads();
    for (int i = (int)threadIdx.x; i < n_live * (OUTS / 4); i += ROWS_THREADS) {
        int row = i / (OUTS / 4), o = i % (OUTS / 4) * 4;
        const float *at = sums + row * PITCH + o;
        float4 sum = *reinterpret_cast<const float4 *>(at);
#pragma unroll
        for (int k = 1; k < KW; k++)
            sum = matmul_rows_add4(sum, *reinterpret_cast<const float4 *>(at + k * NT * 8 * PITCH));
        if (p.n_split == 1) {
            matmul_rows_put(p, row0 + row, (int)blockIdx.x * OUTS + o, sum);
        } else {
            size_t part_row = (size_t)blockIdx.y * (size_t)p.n_rows + (size_t)(row0 + row);
            size_t part_at = (part_row * gridDim.x + blockIdx.x) * OUTS + (size_t)o;
            *reinterpret_cast<float4 *>(p.partial + part_at) = sum;
        }
    }
    if (p.n_split > 1)
        matmul_rows_join<NT, OUTS>(p, n_live);
}

/* Grid: output tiles of MW * MT * 16, splits of k, groups of NT * 8 rows. */
template <enum weight_type TYPE, int NT, int MW, int MT>
static __global__ void __launch_bounds__(ROWS_THREADS, 2)
    matmul_rows_kernel(struct matmul_rows_params p)
{
    const int KW = ROWS_WARPS / MW, parts = matmul_rows_parts<TYPE>;
    CUDA_SHARED(uint4, stage);
    float *inverse = reinterpret_cast<float *>(stage + (2 * NT * parts * 32 << p.chunk_shift));
    int warp = (int)threadIdx.x / 32, g = (int)threadIdx.x % 32 / 4, kw = warp / MW;
    int begin = (int)((long long)p.n_steps * (int)blockIdx.y / p.n_split);
    int end = (int)((long long)p.n_steps * ((int)blockIdx.y + 1) / p.n_split);
    const unsigned char *row[MT][2];
    uint4 a[MT][2][2], next[MT][2][2];
    float acc[NT][MT][4] = {};

#pragma unroll
    for (int i = 0; i < 2 * MT; i++) {
        /* Outputs past the end repeat the last one; nobody stores them. */
        int o = ((int)blockIdx.x * MW + warp % MW) * MT * 16 + i * 8 + g;
        o = o < p.n_out ? o : p.n_out - 1;
        row[i / 2][i % 2] = p.w + (size_t)o * (size_t)p.n_in * 2;
    }
    if (begin + kw < end)
        matmul_rows_load_w<MT>(next, row, begin + kw, p.n_in);
    for (int first = begin; first < end; first += 1 << p.chunk_shift) {
        int n_steps = end - first < 1 << p.chunk_shift ? end - first : 1 << p.chunk_shift;

        if (first != begin)
            __syncthreads(); /* all have read the chunk before */
        matmul_rows_stage<TYPE, NT>(stage, inverse, p, first, n_steps);
        __syncthreads();
#pragma unroll 1
        for (int s = kw; s < n_steps; s += KW) {
            memcpy(a, next, sizeof a);
            if (first + s + KW < end)
                matmul_rows_load_w<MT>(next, row, first + s + KW, p.n_in);
            matmul_rows_multiply<TYPE, NT, MT>(acc, a, stage + s * 2 * NT * parts * 32,
                                               inverse + s * NT * 8);
        }
    }
    __syncthreads(); /* the sums take the place of x */
    matmul_rows_reduce<NT, MW, MT>(p, reinterpret_cast<float *>(stage), acc);
}

#endif
