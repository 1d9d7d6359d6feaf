/*
 * matmul_parts_cuda.cuh - activations cut into parts of the weights' type.
 *
 * The sum of the parts is the activation to f32's precision: three of bf16 (8 bits
 * each), or two of f16 (11 bits each) after scaling by a power of two, which keeps
 * both parts in f16's range. An infinite activation gives NaN.
 */
#ifndef KERNELS_MATMUL_PARTS_CUDA_CUH
#define KERNELS_MATMUL_PARTS_CUDA_CUH

#include "kernels/cuda_ptx.cuh"

extern "C" {
#include "kernels/matmul.h"
}

/* Parts that an activation is cut into. */
template <enum weight_type TYPE> static constexpr int matmul_parts_of = TYPE == WEIGHT_BF16 ? 3 : 2;

/* Two activations as pairs, largest part first. */
template <enum weight_type TYPE>
static __device__ __forceinline__ void matmul_parts_split(uint32_t part[3], float lo, float hi)
{
#pragma unroll
    for (int i = 0; i < matmul_parts_of<TYPE>; i++) {
        part[i] = TYPE == WEIGHT_BF16 ? ptx_pack_bf16x2(lo, hi) : ptx_pack_f16x2(lo, hi);
        lo -= TYPE == WEIGHT_BF16 ? ptx_bf16_lo(part[i]) : ptx_f16_lo(part[i]);
        hi -= TYPE == WEIGHT_BF16 ? ptx_bf16_hi(part[i]) : ptx_f16_hi(part[i]);
    }
}

/* The power of two, as its f32 exponent, that brings `bits`, the largest of some
 * magnitudes, to 2^14 .. 2^15: 268 - exponent, kept where its inverse is normal. */
static __device__ __forceinline__ uint32_t matmul_parts_scale_exponent(uint32_t bits)
{
    uint32_t exponent = 268u - (bits >> 23);

    return exponent > 253u ? 253u : exponent;
}

#endif
