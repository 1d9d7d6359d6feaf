/*
 * matmul_units_cuda.cuh - the units of a product of a few rows: whose outputs they
 * are, and how their sums come together.
 *
 * A unit is UNIT_OUTS outputs of one weight, all rows of a group. Its k may be split
 * between blocks: each leaves its sums in memory as the lanes hold them, and the last
 * to come adds all of them in their order.
 */
#ifndef KERNELS_MATMUL_UNITS_CUDA_CUH
#define KERNELS_MATMUL_UNITS_CUDA_CUH

#include <string.h>

#include "kernels/cuda_ptx.cuh"

extern "C" {
#include "kernels/matmul.h"
}

enum {
    UNIT_WARPS = 8, /* of a block; a warp has every UNIT_WARPS-th unit of a share */
    UNIT_OUTS = 32  /* two tiles of 16 */
};

/* One of the weights; its outputs fill whole units, the last one perhaps in part. */
struct matmul_units_part {
    const unsigned char *w;
    const float *bias;
    float *out;
    int n_out;
    int unit_end; /* units of this part and those before it */
};

/* Blocks: [shares of the units, splits of the steps, groups of rows]. */
struct matmul_units_params {
    struct matmul_units_part part[MATMUL_WEIGHTS];
    const float *x;
    float4 *partial; /* [row groups, units, n_split, tiles of 8 rows, 2, lanes] */
    unsigned *done;  /* [row groups, units] splits that have left their sums; zero at start */
    int n_rows, n_in, n_units;
    int n_steps, n_split;
    int chunk; /* steps of x that lie in shared memory at a time */
    int accumulate, x_aligned;
};

static __device__ __forceinline__ int matmul_units_part_of(const struct matmul_units_params &p,
                                                           int unit)
{
    int i = 0;

#pragma unroll
    for (int j = 0; j < MATMUL_WEIGHTS - 1; j++)
        i += unit >= p.part[j].unit_end;
    return i;
}

/* The first output of a unit in its part. */
static __device__ __forceinline__ int matmul_units_first(const struct matmul_units_params &p,
                                                         int part, int unit)
{
    return (unit - (part > 0 ? p.part[part - 1].unit_end : 0)) * UNIT_OUTS;
}

/* Sums of NT tiles of 8 rows become outputs: lane (g, t) has outputs g, g + 8, ... of
 * rows 2t and 2t + 1. */
template <int NT>
static __device__ __forceinline__ void matmul_units_put(const struct matmul_units_params &p,
                                                        int unit, const float acc[NT][2][4])
{
    int of = matmul_units_part_of(p, unit), o0 = matmul_units_first(p, of, unit);
    const struct matmul_units_part &part = p.part[of];
    int g = (int)threadIdx.x % 32 / 4, row0 = (int)blockIdx.z * NT * 8 + (int)threadIdx.x % 4 * 2;

#pragma unroll
    for (int i = 0; i < NT * 8; i++) {
        int row = row0 + i / 8 * 8 + i % 2, o = o0 + i % 8 / 2 * 8 + g;
        if (row >= p.n_rows || o >= part.n_out)
            continue;
        float v = acc[i / 8][i % 8 / 4][i % 2 + i % 4 / 2 * 2];
        float *out = part.out + (size_t)row * (size_t)part.n_out + o;
        if (part.bias != NULL)
            v += part.bias[o];
        *out = p.accumulate ? v + *out : v;
    }
}

/* This lane's sums of a unit's split 0; those of a split follow those of the one before. */
template <int NT>
static __device__ __forceinline__ float4 *matmul_units_sums(const struct matmul_units_params &p,
                                                            int unit)
{
    size_t at = ((size_t)blockIdx.z * (size_t)p.n_units + (size_t)unit) * (size_t)p.n_split;

    return p.partial + at * (NT * 2 * 32) + threadIdx.x % 32;
}

/* Tile n has rows of the product. All its lanes store and load: what is written in
 * part would have to be fetched from memory to be read. */
template <int NT>
static __device__ __forceinline__ bool matmul_units_is_live(const struct matmul_units_params &p,
                                                            int n)
{
    return (int)blockIdx.z * NT * 8 + n * 8 < p.n_rows;
}

template <int NT>
static __device__ __forceinline__ void matmul_units_save(const struct matmul_units_params &p,
                                                         int unit, const float acc[NT][2][4])
{
    float4 *to = matmul_units_sums<NT>(p, unit) + blockIdx.y * (NT * 2 * 32);

#pragma unroll
    for (int i = 0; i < NT * 2; i++) {
        const float *v = acc[i / 2][i % 2];
        if (matmul_units_is_live<NT>(p, i / 2))
            to[i * 32] = make_float4(v[0], v[1], v[2], v[3]);
    }
}

/* acc += the sums of splits [first, last), in their order. */
template <int NT>
static __device__ __forceinline__ void matmul_units_add(const struct matmul_units_params &p,
                                                        int unit, unsigned first, unsigned last,
                                                        float acc[NT][2][4])
{
    const float4 *from = matmul_units_sums<NT>(p, unit);

#pragma unroll 4
    for (unsigned s = first; s < last; s++)
#pragma unroll
        for (int i = 0; i < NT * 2; i++) {
            if (!matmul_units_is_live<NT>(p, i / 2))
                continue;
            float4 v = from[((size_t)s * NT * 2 + (size_t)i) * 32];
            acc[i / 2][i % 2][0] += v.x, acc[i / 2][i % 2][1] += v.y;
            acc[i / 2][i % 2][2] += v.z, acc[i / 2][i % 2][3] += v.w;
        }
}

template <int NT>
static __device__ __forceinline__ void matmul_units_finish(const struct matmul_units_params &p,
                                                           int unit)
{
    float acc[NT][2][4] = {};

    matmul_units_add<NT>(p, unit, 0, (unsigned)p.n_split, acc);
    matmul_units_put<NT>(p, unit, acc);
}

/* After a warp has saved its units, `unit` and every UNIT_WARPS-th up to `end`: it
 * gives away those of which it had the last split. Counting once for all, at the end,
 * since a fence waits for everything that is under way. */
template <int NT>
static __device__ __forceinline__ void matmul_units_join(const struct matmul_units_params &p,
                                                         int unit, int end)
{
    unsigned *done = p.done + (size_t)blockIdx.z * (size_t)p.n_units;
    int lane = (int)threadIdx.x % 32;

    __threadfence(); /* this lane's sums are seen before the counts are */
    __syncwarp();
    for (; unit < end; unit += 32 * UNIT_WARPS) {
        int own = unit + lane * UNIT_WARPS;
        bool is_last =
            own < end && atomicInc(done + own, (unsigned)p.n_split - 1) == (unsigned)p.n_split - 1;
        unsigned last = __ballot_sync(0xffffffffu, is_last);
        __threadfence();
        for (int i = 0; i < 32; i++)
            if ((last >> i & 1) != 0)
                matmul_units_finish<NT>(p, unit + i * UNIT_WARPS);
    }
}

#endif
