/*
 * reduce_cuda.cuh - sums and maxima over the lanes of a warp or the threads of a
 * block, as fixed trees: the order depends on the size of the block alone, and
 * every thread gets the same bits.
 *
 * All lanes (threads) take part; blocks are whole warps. `shared` is scratch of
 * REDUCE_SHARED elements that may be used again at once.
 */
#ifndef KERNELS_REDUCE_CUDA_CUH
#define KERNELS_REDUCE_CUDA_CUH

#include <cuda_runtime.h>
#include <stdint.h>

enum { WARP_LANES = 32, REDUCE_SHARED = 32 };
#define WARP_ALL 0xffffffffu

/* Halves of the warp are added pairwise; a + b and b + a are the same bits. */
static __device__ __forceinline__ float reduce_warp_sum(float x)
{
#pragma unroll
    for (int d = WARP_LANES / 2; d > 0; d /= 2)
        x += __shfl_xor_sync(WARP_ALL, x, d);
    return x;
}

static __device__ __forceinline__ float reduce_warp_max(float x)
{
#pragma unroll
    for (int d = WARP_LANES / 2; d > 0; d /= 2)
        x = fmaxf(x, __shfl_xor_sync(WARP_ALL, x, d));
    return x;
}

/* The sum over lanes of x[i] comes to the lanes 4i .. 4i+3. Each step halves
 * what a lane is answerable for: 9 shuffles instead of 40. */
static __device__ __forceinline__ float reduce_warp_sum8(float x[8])
{
    const unsigned lane = threadIdx.x % WARP_LANES;

#pragma unroll
    for (int n = 4; n > 0; n /= 2) {
        const bool upper = (lane & (unsigned)(4 * n)) != 0;
#pragma unroll
        for (int i = 0; i < n; i++) {
            float mine = upper ? x[i + n] : x[i], theirs = upper ? x[i] : x[i + n];
            x[i] = mine + __shfl_xor_sync(WARP_ALL, theirs, 4 * n);
        }
    }
    x[0] += __shfl_xor_sync(WARP_ALL, x[0], 2);
    x[0] += __shfl_xor_sync(WARP_ALL, x[0], 1);
    return x[0];
}

static __device__ __forceinline__ float reduce_block_sum(float x, float *shared)
{
    const unsigned lane = threadIdx.x % WARP_LANES;

    x = reduce_warp_sum(x);
    if (lane == 0)
        shared[threadIdx.x / WARP_LANES] = x;
    __syncthreads();
    x = reduce_warp_sum(lane < blockDim.x / WARP_LANES ? shared[lane] : 0.0f);
    __syncthreads();
    return x;
}

static __device__ __forceinline__ float reduce_block_max(float x, float *shared)
{
    const unsigned lane = threadIdx.x % WARP_LANES;

    x = reduce_warp_max(x);
    if (lane == 0)
        shared[threadIdx.x / WARP_LANES] = x;
    __syncthreads();
    x = reduce_warp_max(shared[lane < blockDim.x / WARP_LANES ? lane : 0]);
    __syncthreads();
    return x;
}

static __device__ __forceinline__ uint64_t reduce_warp_sum_u64(uint64_t x)
{
#pragma unroll
    for (int d = WARP_LANES / 2; d > 0; d /= 2)
        x += __shfl_xor_sync(WARP_ALL, (unsigned long long)x, d);
    return x;
}

static __device__ __forceinline__ uint64_t reduce_warp_max_u64(uint64_t x)
{
#pragma unroll
    for (int d = WARP_LANES / 2; d > 0; d /= 2) {
        uint64_t other = __shfl_xor_sync(WARP_ALL, (unsigned long long)x, d);
        x = x > other ? x : other;
    }
    return x;
}

static __device__ __forceinline__ uint64_t reduce_block_sum_u64(uint64_t x, uint64_t *shared)
{
    const unsigned lane = threadIdx.x % WARP_LANES;

    x = reduce_warp_sum_u64(x);
    if (lane == 0)
        shared[threadIdx.x / WARP_LANES] = x;
    __syncthreads();
    x = reduce_warp_sum_u64(lane < blockDim.x / WARP_LANES ? shared[lane] : 0);
    __syncthreads();
    return x;
}

static __device__ __forceinline__ uint64_t reduce_block_max_u64(uint64_t x, uint64_t *shared)
{
    const unsigned lane = threadIdx.x % WARP_LANES;

    x = reduce_warp_max_u64(x);
    if (lane == 0)
        shared[threadIdx.x / WARP_LANES] = x;
    __syncthreads();
    x = reduce_warp_max_u64(lane < blockDim.x / WARP_LANES ? shared[lane] : 0);
    __syncthreads();
    return x;
}

#endif
