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
    l->is_early = false;
    memset(l->params, 0, sizeof l->params);
    memcpy(l->params, args[0], n);
    return cudaSuccess;
}

void shim_launch_run(const void *launch)
{
    struct shim_launch l; /* queues keep payloads at any alignment */

    memcpy(&l, launch, sizeof l);
    shim_kernel_run(&l);
}

/* The one attribute that there is: true in *is_early if it is given and set. */
static cudaError_t read_attributes(const cudaLaunchConfig_t *config, bool *is_early)
{
    *is_early = false;
    for (unsigned i = 0; i < config->numAttrs; i++) {
        if (config->attrs[i].id != cudaLaunchAttributeProgrammaticStreamSerialization)
            return cudaErrorNotSupported;
        *is_early = config->attrs[i].val.programmaticStreamSerializationAllowed != 0;
    }
    return cudaSuccess;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *kernel, void **args)
{
    struct shim_launch l;
    cudaStream_t stream = config->stream;
    cudaError_t error = cudaErrorInvalidResourceHandle;

    shim_device_enter();
    if (shim_queue_is_stream(stream))
        error = shim_launch_make(&l, kernel, config->gridDim, config->blockDim, args,
                                 config->dynamicSmemBytes);
    if (error == cudaSuccess)
        error = read_attributes(config, &l.is_early);
    if (error == cudaSuccess) {
        if (shim_device_fault("launch"))
            shim_device_lose(cudaErrorECCUncorrectable);
        shim_queue_add(stream, shim_launch_run, &l, sizeof l);
    }
    return shim_device_leave(error);
}

cudaError_t cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **args, size_t shared,
                             cudaStream_t stream)
{
    cudaLaunchConfig_t config = {grid, block, shared, stream, NULL, 0};

    return cudaLaunchKernelExC(&config, kernel, args);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attr, int value)
{
    if (attr == cudaFuncAttributePreferredSharedMemoryCarveout)
        return cudaSuccess;
    return shim_device_leave((shim_device_enter(), shim_kernel_allow_shared(kernel, value)));
}
