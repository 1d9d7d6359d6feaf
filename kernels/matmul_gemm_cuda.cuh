/*
 * matmul_gemm_cuda.cuh - what cuBLAS does not do in a product of many rows: cut
 * activations into parts of the weights' type, and finish the outputs.
 *
 * The parts are those of matmul_parts_cuda.cuh, except that f16 takes one power of
 * two per row: a part's product is then brought back when the row is finished.
 */
#ifndef KERNELS_MATMUL_GEMM_CUDA_CUH
#define KERNELS_MATMUL_GEMM_CUDA_CUH

#include "kernels/matmul_parts_cuda.cuh"
#include "kernels/op_cuda.cuh"

enum { GEMM_THREADS = 256 };

struct matmul_gemm_split_params {
    const float *x;
    uint16_t *part; /* [parts, n_rows, n_in] */
    float *inverse; /* [n_rows] what f16's products are multiplied by */
    int n_rows, n_in;
};

struct matmul_gemm_finish_params {
    float *out;
    const float *product; /* [n_rows, n_out]; may be `out` */
    const float *inverse; /* [n_rows] or NULL */
    const float *bias;    /* [n_out] or NULL */
    int n_rows, n_out;
    int accumulate;
};

/* The largest magnitude of the block's values, as bits. */
static __device__ __forceinline__ uint32_t matmul_gemm_block_max(uint32_t bits)
{
    __shared__ uint32_t of_warp[GEMM_THREADS / 32];

#pragma unroll
    for (int lane = 16; lane > 0; lane /= 2) {
        uint32_t other = __shfl_xor_sync(0xffffffffu, bits, lane);
        bits = other > bits ? other : bits;
    }
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = bits;
    __syncthreads();
    for (int i = 0; i < GEMM_THREADS / 32; i++)
        bits = of_warp[i] > bits ? of_warp[i] : bits;
    return bits;
}

/* A block has one row; n_in is even. */
template <enum weight_type TYPE>
static __global__ void __launch_bounds__(GEMM_THREADS)
    matmul_gemm_split_kernel(struct matmul_gemm_split_params p)
{
    op_cuda_start();
    size_t n_in = (size_t)p.n_in, row = blockIdx.x, n = (size_t)p.n_rows * n_in;
    const float *x = p.x + row * n_in;
    float scale = 1.0f;

    if (TYPE == WEIGHT_F16) {
        uint32_t bits = 0;
        for (int k = (int)threadIdx.x; k < p.n_in; k += GEMM_THREADS) {
            uint32_t magnitude = __float_as_uint(x[k]) & 0x7fffffffu;
            bits = magnitude > bits ? magnitude : bits;
        }
        uint32_t exponent = matmul_parts_scale_exponent(matmul_gemm_block_max(bits));
        scale = __uint_as_float(exponent << 23);
        if (threadIdx.x == 0)
            p.inverse[row] = __uint_as_float((254u - exponent) << 23);
    }
    for (int k = (int)threadIdx.x * 2; k < p.n_in; k += GEMM_THREADS * 2) {
        uint32_t part[3];
        matmul_parts_split<TYPE>(part, x[k] * scale, x[k + 1] * scale);
#pragma unroll
        for (int i = 0; i < matmul_parts_of<TYPE>; i++)
            *reinterpret_cast<uint32_t *>(p.part + (size_t)i * n + row * n_in + (size_t)k) =
                part[i];
    }
}

/* Grid: groups of GEMM_THREADS outputs, rows. */
static __global__ void __launch_bounds__(GEMM_THREADS)
    matmul_gemm_finish_kernel(struct matmul_gemm_finish_params p)
{
    op_cuda_start();
    int o = (int)blockIdx.x * GEMM_THREADS + (int)threadIdx.x, row = (int)blockIdx.y;

    if (o >= p.n_out)
        return;
    size_t at = (size_t)row * (size_t)p.n_out + (size_t)o;
    float v = p.product[at];
    if (p.inverse != NULL)
        v *= p.inverse[row];
    if (p.bias != NULL)
        v += p.bias[o];
    p.out[at] = p.accumulate ? v + p.out[at] : v;
}

#endif
