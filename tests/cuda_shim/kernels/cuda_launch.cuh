/*
 * cuda_launch.cuh - the launch of a kernel, as in kernels/cuda_launch.cuh; and
 * it tells the shim how a kernel of this type of parameters is called.
 */
#ifndef KERNELS_CUDA_LAUNCH_CUH
#define KERNELS_CUDA_LAUNCH_CUH

#include <cuda_runtime.h>

#include "tests/cuda_shim/shim_kernel.h"

extern "C" {
#include "common/status.h"
#include "kernels/device_cuda.h"
}

#define CUDA_LAUNCH_PARAMS_MAX 4000

template <class P> static void shim_call_kernel(const void *kernel, const void *params)
{
    void (*f)(P);
    P p;

    memcpy(&f, &kernel, sizeof f);
    memcpy(&p, params, sizeof p);
    f(p);
}

template <class P>
static inline struct device_cuda_launch cuda_launch_of(void (*kernel)(P), dim3 grid, dim3 block,
                                                       size_t shared_bytes, const P &params)
{
    static_assert(__is_trivially_copyable(P), "a kernel's parameters are plain bytes");
    static_assert(sizeof(P) <= CUDA_LAUNCH_PARAMS_MAX, "a kernel's parameters are too large");
    struct device_cuda_launch launch = {};

    launch.kernel = reinterpret_cast<const void *>(kernel);
    shim_kernel_add(launch.kernel, __PRETTY_FUNCTION__, sizeof(P), shim_call_kernel<P>);
    launch.grid[0] = grid.x;
    launch.grid[1] = grid.y;
    launch.grid[2] = grid.z;
    launch.block[0] = block.x;
    launch.block[1] = block.y;
    launch.block[2] = block.z;
    launch.shared_bytes = shared_bytes;
    launch.params = &params;
    launch.params_bytes = sizeof params;
    return launch;
}

template <class P>
static inline enum status cuda_launch(struct device *dev, void (*kernel)(P), dim3 grid, dim3 block,
                                      size_t shared_bytes, const P &params, struct err *err)
{
    struct device_cuda_launch launch = cuda_launch_of(kernel, grid, block, shared_bytes, params);

    return device_cuda_launch(dev, &launch, err);
}

template <class P>
static inline enum status cuda_launch_early(struct device *dev, void (*kernel)(P), dim3 grid,
                                            dim3 block, size_t shared_bytes, const P &params,
                                            struct err *err)
{
    struct device_cuda_launch launch = cuda_launch_of(kernel, grid, block, shared_bytes, params);

    launch.is_early = true;
    return device_cuda_launch(dev, &launch, err);
}

#endif
