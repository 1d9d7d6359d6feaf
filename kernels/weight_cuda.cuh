/*
 * weight_cuda.cuh - one weight as f32, as weight.h has it. Checkpoints align
 * tensors to nothing and the GPU traps a load that is not aligned, so that such
 * an element is read byte by byte.
 */
#ifndef KERNELS_WEIGHT_CUDA_CUH
#define KERNELS_WEIGHT_CUDA_CUH

#include "kernels/cuda_ptx.cuh"

extern "C" {
#include "kernels/matmul.h"
}

/* Element i of w, exact. */
static __device__ __forceinline__ float weight_cuda_get(const void *w, enum weight_type type,
                                                        size_t i)
{
    const unsigned char *at = (const unsigned char *)w + i * (type == WEIGHT_F32 ? 4 : 2);
    uint32_t bits;

    if (type == WEIGHT_F32) {
        if ((uintptr_t)at % 4 == 0)
            bits = *(const uint32_t *)at;
        else
            bits = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        return __uint_as_float(bits);
    }
    if ((uintptr_t)at % 2 == 0)
        bits = *(const uint16_t *)at;
    else
        bits = at[0] | (uint32_t)at[1] << 8;
    return type == WEIGHT_F16 ? ptx_f16_to_f32((uint16_t)bits) : ptx_bf16_to_f32((uint16_t)bits);
}

#endif
