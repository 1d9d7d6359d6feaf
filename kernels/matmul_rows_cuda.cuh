/*
 * matmul_rows_cuda.cuh - a few rows times 16-bit weights, bound by the reading of
 * the weights.
 *
 * Tensor cores multiply 16 outputs x 16 k by 16 k x 8 rows with f32 sums. Weights
 * go as they are, activations in parts (matmul_parts_cuda.cuh); f16's are scaled by
 * row and step.
 *
 * A step is 64 k. A block has the steps of one split and a share of the units
 * (matmul_units_cuda.cuh), a warp takes every UNIT_WARPS-th of them, all its steps in
 * order. So the activations of a block's steps are cut once and stay in shared memory,
 * while each warp streams its weights through a ring of its own there: no barrier
 * stands between a weight's arrival and its use. The ring is filled before the kernel
 * waits for the one before it, since nobody writes weights.
 *
 * A sum does not care in which order k comes, so lane t of four takes k = 8t .. 8t+7
 * of every 32 for its fragments, 16 bytes of a weight row, and the parts of
 * activations lie in the same order.
 *
 * Where the activations of a split do not fit, its steps go in chunks, and sums wait
 * in memory between them, bit by bit. Splits depend on n_in, n_out and the device
 * alone, so a row's bits do not depend on the rows beside it: NT, the tiles of 8 rows,
 * the length of a chunk and the depth of the ring do not change any sum's order.
 */
#ifndef KERNELS_MATMUL_ROWS_CUDA_CUH
#define KERNELS_MATMUL_ROWS_CUDA_CUH

#include "kernels/matmul_parts_cuda.cuh"
#include "kernels/matmul_units_cuda.cuh"

enum {
    ROWS_THREADS = 32 * UNIT_WARPS,
    ROWS_STEP = 64, /* k per step: 128 bytes of a weight row */
    ROWS_SLOT = 256 /* pieces of 16 bytes: one step of a unit's weights */
};

/* Which step of which unit a warp fetches next, and from where. */
struct matmul_rows_cursor {
    int unit, step;
    const unsigned char *w; /* the lane's first row, at its piece of step 0 */
    int n_rows;             /* of the weight from the unit's first on */
};

/* Shared memory in bytes: the rings, and a step of x in parts with its scales. */
static inline size_t matmul_rows_ring_bytes(int depth)
{
    return (size_t)depth * UNIT_WARPS * ROWS_SLOT * sizeof(uint4);
}

static inline size_t matmul_rows_step_bytes(int type, int nt)
{
    size_t parts = type == WEIGHT_BF16 ? 3 : 2;

    return (size_t)nt * (2u * parts * 32 * sizeof(uint4) + 8 * sizeof(float));
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

/* 8 activations of a row from k on; zeros where nothing is. */
static __device__ __forceinline__ void
matmul_rows_load_x(float v[8], const struct matmul_units_params &p, int row, int k, bool is_there)
{
    const float *x = p.x + (size_t)row * (size_t)p.n_in + k;
    float4 lo = make_float4(0, 0, 0, 0), hi = lo;

    if (is_there && p.x_aligned) {
        lo = *reinterpret_cast<const float4 *>(x);
        hi = *(reinterpret_cast<const float4 *>(x) + 1);
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
                                                           int row, int step, int q, bool is_there)
{
    const int parts = matmul_parts_of<TYPE>;
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
        uint32_t exponent = matmul_parts_scale_exponent(bits);
        float scale = __uint_as_float(exponent << 23);
#pragma unroll
        for (int i = 0; i < 8; i++)
            v[i] *= scale;
        if (q == 0 && is_there)
            inverse[step * NT * 8 + row] = __uint_as_float((254u - exponent) << 23);
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        matmul_parts_split<TYPE>(pair[i], v[2 * i], v[2 * i + 1]);
#pragma unroll
    for (int i = 0; i < parts && is_there; i++)
        at[i * 32] = make_uint4(pair[0][i], pair[1][i], pair[2][i], pair[3][i]);
}

/* Steps [first, last) of x into shared memory; 8 lanes take a step of a row, 8
 * activations each. What a tile holds past n_rows stays undefined: the tensor cores
 * keep rows apart, and nobody stores those. */
template <enum weight_type TYPE, int NT>
static __device__ __forceinline__ void matmul_rows_stage(uint4 *stage, float *inverse,
                                                         const struct matmul_units_params &p,
                                                         int first, int last)
{
    const int AT_ONCE = 4; /* what a thread has in flight */
    int row0 = (int)blockIdx.z * NT * 8, n_steps = last - first;
    int n_live = p.n_rows - row0 < NT * 8 ? p.n_rows - row0 : NT * 8;
    int n_pieces = n_live * n_steps, q = (int)threadIdx.x % 8;

    for (int i0 = (int)threadIdx.x / 32 * 4; i0 < n_pieces; i0 += AT_ONCE * (ROWS_THREADS / 8)) {
        float v[AT_ONCE][8];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            int piece = i0 + i * (ROWS_THREADS / 8) + (int)threadIdx.x % 32 / 8;
            int row = piece / n_steps, k = (first + piece % n_steps) * ROWS_STEP + q * 8;
            matmul_rows_load_x(v[i], p, row0 + row, k, piece < n_pieces && k < p.n_in);
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            int piece = i0 + i * (ROWS_THREADS / 8) + (int)threadIdx.x % 32 / 8;
            matmul_rows_store_x<TYPE, NT>(stage, inverse, v[i], piece / n_steps, piece % n_steps, q,
                                          piece < n_pieces);
        }
    }
}

/* The cursor at step `first` of a unit; nowhere past the share's end. */
static __device__ __forceinline__ void matmul_rows_seek(struct matmul_rows_cursor *to,
                                                        const struct matmul_units_params &p,
                                                        int unit, int end, int first)
{
    int r = (int)threadIdx.x % 32 / 8;

    to->unit = unit;
    to->step = first;
    if (unit >= end)
        return;
    int of = matmul_units_part_of(p, unit), o0 = matmul_units_first(p, of, unit);
    to->n_rows = p.part[of].n_out - o0;
    to->w = p.part[of].w + (size_t)(o0 + (r < to->n_rows ? r : 0)) * (size_t)p.n_in * 2;
}

/* Begins to fetch one step of a unit's weights into a slot of the ring. Piece c of
 * row r lies at c ^ 4 (r % 2), so that 8 lanes that read fragments meet all banks.
 * Rows past the end repeat one that is there, k past n_in the last weights: nobody
 * stores the former, and x is zero for the latter. */
static __device__ __forceinline__ void matmul_rows_fetch(uint4 *slot,
                                                         const struct matmul_units_params &p,
                                                         const struct matmul_rows_cursor *at)
{
    int r = (int)threadIdx.x % 32 / 8, c = (int)threadIdx.x % 8;
    int k = at->step * ROWS_STEP + c * 8;
    const unsigned char *w = at->w + (size_t)(k < p.n_in ? k : p.n_in - 8) * 2;
    uint4 *to = slot + r * 8 + (c ^ (r % 2 * 4));

#pragma unroll
    for (int i = 0; i < UNIT_OUTS / 4; i++) {
        size_t row = r + i * 4 < at->n_rows ? (size_t)i * 4 : 0;
        ptx_cp_async16(to + i * 32, w + row * (size_t)p.n_in * 2);
    }
}

/* A step's weights as fragments: [tile of 16 outputs][output g, g + 8][half of 32 k]. */
static __device__ __forceinline__ void matmul_rows_read(uint4 a[2][2][2], const uint4 *slot)
{
    int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;

#pragma unroll
    for (int i = 0; i < 8; i++)
        a[i / 4][i / 2 % 2][i % 2] = slot[(i / 2 * 8 + g) * 8 + ((i % 2 * 4 + t) ^ (g % 2 * 4))];
}

/* acc += one step of weights times all rows; smallest parts first, halves apart so
 * that chains of products are short. `b` and `inverse` are the step's. The step's own
 * sum keeps the tensor cores' truncation small beside the whole sum, which is added
 * with rounding. */
template <enum weight_type TYPE, int NT>
static __device__ __forceinline__ void matmul_rows_multiply(float acc[NT][2][4],
                                                            const uint4 a[2][2][2], const uint4 *b,
                                                            const float *inverse)
{
    const int lane = (int)threadIdx.x % 32, parts = matmul_parts_of<TYPE>;

#pragma unroll
    for (int n = 0; n < NT; n++) {
        float sum[2][2][4] = {}; /* [half][tile] */
#pragma unroll
        for (int i = 2 * parts - 1; i >= 0; i--) {
            const int half = i % 2, part = i / 2;
            uint4 x = b[((half * NT + n) * parts + part) * 32 + lane];
            const uint32_t x0[2] = {x.x, x.y}, x1[2] = {x.z, x.w};
#pragma unroll
            for (int m = 0; m < 2; m++) {
                uint4 lo = a[m][0][half], hi = a[m][1][half];
                const uint32_t a0[4] = {lo.x, hi.x, lo.y, hi.y};
                const uint32_t a1[4] = {lo.z, hi.z, lo.w, hi.w};
                matmul_rows_mma<TYPE>(sum[half][m], a0, x0);
                matmul_rows_mma<TYPE>(sum[half][m], a1, x1);
            }
        }
        float2 scale = make_float2(1.0f, 1.0f);
        if (TYPE == WEIGHT_F16)
            scale = *reinterpret_cast<const float2 *>(inverse + n * 8 + lane % 4 * 2);
#pragma unroll
        for (int i = 0; i < 8; i++)
            acc[n][i / 4][i % 4] = fmaf(sum[0][i / 4][i % 4] + sum[1][i / 4][i % 4],
                                        i % 2 == 0 ? scale.x : scale.y, acc[n][i / 4][i % 4]);
    }
}

/* Grid: shares of the units, splits of the steps, groups of NT * 8 rows. */
template <enum weight_type TYPE, int NT, int DEPTH>
static __global__ void __launch_bounds__(ROWS_THREADS, 1)
    matmul_rows_kernel(struct matmul_units_params p)
{
    const int parts = matmul_parts_of<TYPE>;
    CUDA_SHARED(uint4, shared);
    uint4 *ring = shared + (int)threadIdx.x / 32 * (DEPTH * ROWS_SLOT);
    uint4 *stage = shared + UNIT_WARPS * DEPTH * ROWS_SLOT;
    float *inverse = reinterpret_cast<float *>(stage + p.chunk * 2 * NT * parts * 32);
    int begin = (int)((long long)p.n_steps * (int)blockIdx.y / p.n_split);
    int end = (int)((long long)p.n_steps * ((int)blockIdx.y + 1) / p.n_split);
    int unit0 = (int)((long long)p.n_units * (int)blockIdx.x / (int)gridDim.x);
    int unit_end = (int)((long long)p.n_units * ((int)blockIdx.x + 1) / (int)gridDim.x);

    unit0 += (int)threadIdx.x / 32;
    ptx_grid_launch_dependents();
    for (int first = begin; first < end; first += p.chunk) {
        int last = end - first < p.chunk ? end : first + p.chunk, slot = 0;
        struct matmul_rows_cursor to = {};

        auto fetch = [&](int into) {
            if (to.unit < unit_end) {
                matmul_rows_fetch(ring + into * ROWS_SLOT, p, &to);
                if (++to.step == last)
                    matmul_rows_seek(&to, p, to.unit + UNIT_WARPS, unit_end, first);
            }
            ptx_cp_async_commit();
        };
        matmul_rows_seek(&to, p, unit0, unit_end, first);
        for (int i = 0; i < DEPTH; i++)
            fetch(i);
        if (first == begin)
            ptx_grid_wait();
        else
            __syncthreads(); /* all have read the chunk before */
        matmul_rows_stage<TYPE, NT>(stage, inverse, p, first, last);
        __syncthreads();
        for (int unit = unit0; unit < unit_end; unit += UNIT_WARPS) {
            float acc[NT][2][4] = {};
            if (first != begin)
                matmul_units_add<NT>(p, unit, blockIdx.y, blockIdx.y + 1, acc);
#pragma unroll 1
            for (int s = 0; s < last - first; s++) {
                uint4 a[2][2][2];
                ptx_cp_async_wait<DEPTH - 1>();
                __syncwarp(); /* all lanes' pieces are there */
                matmul_rows_read(a, ring + slot * ROWS_SLOT);
                __syncwarp(); /* all have read them */
                fetch(slot);
                matmul_rows_multiply<TYPE, NT>(acc, a, stage + s * 2 * NT * parts * 32,
                                               inverse + s * NT * 8);
                slot = slot == DEPTH - 1 ? 0 : slot + 1;
            }
            if (last != end || p.n_split > 1)
                matmul_units_save<NT>(p, unit, acc);
            else
                matmul_units_put<NT>(p, unit, acc);
        }
        ptx_cp_async_wait<0>();
    }
    if (p.n_split > 1)
        matmul_units_join<NT>(p, unit0, unit_end);
}

#endif
