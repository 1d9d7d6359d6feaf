/*
 * Arguments on their way to the device, by a kernel that reads the pinned ring.
 *
 * A copy would stand in the queue of the engine that carries offloaded layers to
 * the device: kernels would wait for whole layers that they do not read, and that
 * waiting would not count as waiting for a copy.
 */
#include "kernels/op_cuda.cuh"

#define ARGS_THREADS 256
#define ARGS_BLOCKS  16 /* the most: enough reads under way to hide the link's latency */

struct args_params {
    uint4 *slab;
    const uint4 *ring;
    size_t n;
};

static __global__ void args_kernel(struct args_params p)
{
    size_t step = (size_t)gridDim.x * blockDim.x;

    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < p.n; i += step)
        p.slab[i] = p.ring[i];
}

extern "C" int device_cuda_args_send(struct device *dev, void *slab, const void *ring, size_t bytes)
{
    struct args_params p = {(uint4 *)slab, (const uint4 *)ring, bytes / sizeof(uint4)};
    size_t n_blocks = (p.n + ARGS_THREADS - 1) / ARGS_THREADS;
    struct device_cuda_launch launch = cuda_launch_of(
        args_kernel, dim3((unsigned)(n_blocks < ARGS_BLOCKS ? n_blocks : ARGS_BLOCKS)),
        dim3(ARGS_THREADS), 0, p);
    void *params = &p;

    return (int)cudaLaunchKernel(launch.kernel, dim3(launch.grid[0]), dim3(launch.block[0]),
                                 &params, 0, (cudaStream_t)device_cuda_stream(dev));
}
