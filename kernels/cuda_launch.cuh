/*
 * cuda_launch.cuh - how an operation launches a kernel.
 *
 * A kernel takes one struct by value and nothing else, so that a launch is the
 * kernel, its sizes and some bytes, which can be kept, compared and replayed.
 */
#ifndef KERNELS_CUDA_LAUNCH_CUH
#define KERNELS_CUDA_LAUNCH_CUH

#include <cuda_runtime.h>
#include <stddef.h>

extern "C" {
#include "common/status.h"
#include "kernels/device_cuda.h"
}

#define CUDA_LAUNCH_PARAMS_MAX 4000 /* a kernel's parameters may take 4096 bytes */

template <class P>
static inline struct device_cuda_launch cuda_launch_of(void (*kernel)(P), dim3 grid, dim3 block,
                                                       size_t shared_bytes, const P &params)
{
    static_assert(__is_trivially_copyable(P), "a kernel's parameters are plain bytes");
    static_assert(sizeof(P) <= CUDA_LAUNCH_PARAMS_MAX, "a kernel's parameters are too large");
    struct device_cuda_launch launch = {};

    launch.kernel = reinterpret_cast<const void *>(kernel);
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

/* Records the launch on `dev` (device_cuda_launch). The bytes of `params` are
 * compared with those of earlier launches: zero the struct before filling it,
 * and pass what varies from call to call through device_cuda_args. */
template <class P>
static inline enum status cuda_launch(struct device *dev, void (*kernel)(P), dim3 grid, dim3 block,
                                      size_t shared_bytes, const P &params, struct err *err)
{
    struct device_cuda_launch launch = cuda_launch_of(kernel, grid, block, shared_bytes, params);

    return device_cuda_launch(dev, &launch, err);
}

/* The same for a kernel that may start before the one before it has ended: every
 * thread calls ptx_grid_wait before it touches what another kernel writes or reads,
 * the arguments of device_cuda_args among it, and before it returns. After that
 * call such memory is read by plain loads or cp.async, since a compiler may move
 * __ldg and ptx_load_stream across it. */
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
