#include "tests/cuda_shim/shim_launch.h"

#include <string.h>

#include "tests/cuda_shim/shim_device.h"
#include "tests/cuda_shim/shim_kernel.h"
#include "tests/cuda_shim/shim_queue.h"

cudaError_t shim_launch_make(struct shim_launch *l, const void *kernel, dim3 grid, dim3 block,
                             void **args, size_t shared_bytes)
{
    cudaError_t error = shim_kernel_check(kernel, grid, block, shared_bytes);
    size_t n = shim_kernel_params_bytes(kernel);

    if (error != cudaSuccess)
        return error;
    if (!args || n > sizeof l->params)
        return cudaErrorInvalidValue;
    l->kernel = kernel;
    l->grid = grid;
    l->block = block;
    l->shared_bytes = shared_bytes;
    memset(l->params, 0, sizeof l->params);
    memcpy(l->params, args[0], n);
    return cudaSuccess;
}

void shim_launch_run(const void *launch)
{
    struct shim_launch l; /* queues keep payloads at any alignment */

    memcpy(&l, launch, sizeof l);
    shim_kernel_run(l.kernel, l.grid, l.block, l.shared_bytes, l.params);
}

cudaError_t cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **args, size_t shared,
                             cudaStream_t stream)
{
    struct shim_launch l;
    cudaError_t error = cudaErrorInvalidResourceHandle;

    shim_device_enter();
    if (shim_queue_is_stream(stream))
        error = shim_launch_make(&l, kernel, grid, block, args, shared);
    if (error == cudaSuccess) {
        if (shim_device_fault("launch"))
            shim_device_lose(cudaErrorECCUncorrectable);
        shim_queue_add(stream, shim_launch_run, &l, sizeof l);
    }
    return shim_device_leave(error);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attr, int value)
{
    if (attr == cudaFuncAttributePreferredSharedMemoryCarveout)
        return cudaSuccess;
    return shim_device_leave((shim_device_enter(), shim_kernel_allow_shared(kernel, value)));
}
