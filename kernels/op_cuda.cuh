/*
 * op_cuda.cuh - what every X_cuda.cu begins with.
 */
#ifndef KERNELS_OP_CUDA_CUH
#define KERNELS_OP_CUDA_CUH

#include <cuda_runtime.h>
#include <string.h>

#include "kernels/cuda_launch.cuh"
#include "kernels/cuda_ptx.cuh"

extern "C" {
#include "kernels/device_cuda.h"
#include "kernels/device_cuda_ops.h"
}

/* The first statement of a kernel for cuda_launch_early that has nothing to do before
 * the kernel in front of it has ended. */
static __device__ __forceinline__ void op_cuda_start()
{
    ptx_grid_launch_dependents();
    ptx_grid_wait();
}

/* What an array of n bytes takes of an operation's args_bytes. */
static inline size_t op_cuda_round(size_t n)
{
    return (n + 15) / 16 * 16;
}

/* Begins an operation of one launch without scratch; *array is the device
 * address of the only host array that its kernel reads, `bytes` long. */
static inline enum status op_cuda_begin(struct device *dev, const char *name, const void *host,
                                        size_t bytes, const void **array, struct err *err)
{
    const struct device_cuda_op op = {name, op_cuda_round(bytes), 0, 1};
    enum status st = device_cuda_begin(dev, &op, NULL, err);

    return st == ST_OK ? device_cuda_args(dev, host, bytes, array, err) : st;
}

#endif
