/*
 * matmul_plain_cuda.cuh - products of any type, size and alignment: f32 weights,
 * and what the tensor cores' loads do not fit.
 *
 * A warp has one output and PLAIN_ROWS rows: a lane adds up every 32nd element (or
 * four elements) of k, and the lanes' sums are folded in a fixed tree. Which way of
 * loading is taken depends on n_in and on where w and x lie, never on the rows.
 */
#ifndef KERNELS_MATMUL_PLAIN_CUDA_CUH
#define KERNELS_MATMUL_PLAIN_CUDA_CUH

#include "kernels/op_cuda.cuh"
#include "kernels/reduce_cuda.cuh"
#include "kernels/weight_cuda.cuh"

enum { PLAIN_WARPS = 4, PLAIN_THREADS = 32 * PLAIN_WARPS, PLAIN_ROWS = 8 };

struct matmul_plain_params {
    float *out;
    const float *x;
    const unsigned char *w;
    const float *bias;
    int n_rows, n_in, n_out;
    int accumulate;
};

/* sum[r] += the lane's share of row r times the weights of one output. */
template <enum weight_type TYPE, bool BY_FOUR>
static __device__ __forceinline__ void matmul_plain_dot(float sum[PLAIN_ROWS], const float *x,
                                                        const unsigned char *w, int n_in,
                                                        int n_live)
{
    const int wide = BY_FOUR ? 4 : 1;

    for (int k = (int)threadIdx.x % 32 * wide; k < n_in; k += 32 * wide) {
        float weight[4] = {};
        if (BY_FOUR) {
            uint4 four = ptx_load_stream(w + (size_t)k * 4);
            weight[0] = __uint_as_float(four.x), weight[1] = __uint_as_float(four.y);
            weight[2] = __uint_as_float(four.z), weight[3] = __uint_as_float(four.w);
        } else {
            weight[0] = weight_cuda_get(w, TYPE, (size_t)k);
        }
#pragma unroll
        for (int r = 0; r < PLAIN_ROWS; r++) {
            const float *at = x + (size_t)(r < n_live ? r : 0) * (size_t)n_in + k;
            float4 v = make_float4(0, 0, 0, 0);
            if (BY_FOUR)
                v = *reinterpret_cast<const float4 *>(at);
            else
                v.x = *at;
            sum[r] = fmaf(v.x, weight[0], sum[r]);
            if (BY_FOUR) {
                sum[r] = fmaf(v.y, weight[1], sum[r]);
                sum[r] = fmaf(v.z, weight[2], sum[r]);
                sum[r] = fmaf(v.w, weight[3], sum[r]);
            }
        }
    }
}

/* Grid: groups of PLAIN_WARPS outputs, groups of PLAIN_ROWS rows. */
template <enum weight_type TYPE, bool BY_FOUR>
static __global__ void __launch_bounds__(PLAIN_THREADS)
    matmul_plain_kernel(struct matmul_plain_params p)
{
    op_cuda_start();
    int o = (int)blockIdx.x * PLAIN_WARPS + (int)threadIdx.x / 32,
        row0 = (int)blockIdx.y * PLAIN_ROWS;
    int n_live = p.n_rows - row0 < PLAIN_ROWS ? p.n_rows - row0 : PLAIN_ROWS;
    const unsigned char *w = p.w + (size_t)o * (size_t)p.n_in * (TYPE == WEIGHT_F32 ? 4 : 2);
    float sum[PLAIN_ROWS] = {};

    if (o >= p.n_out)
        return;
    matmul_plain_dot<TYPE, BY_FOUR>(sum, p.x + (size_t)row0 * (size_t)p.n_in, w, p.n_in, n_live);
#pragma unroll
    for (int r = 0; r < PLAIN_ROWS; r++)
        sum[r] = reduce_warp_sum(sum[r]);
#pragma unroll
    for (int r = 0; r < PLAIN_ROWS; r++) {
        /* All lanes hold every sum; lane r has the work of row r. */
        if ((int)threadIdx.x % 32 != r || r >= n_live)
            continue;
        float *out = p.out + (size_t)(row0 + r) * (size_t)p.n_out + o;
        float v = p.bias != NULL ? sum[r] + p.bias[o] : sum[r];
        *out = p.accumulate ? v + *out : v;
    }
}

#endif
