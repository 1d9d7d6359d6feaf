/*
 * shim_launch.h - one launch of a kernel as a piece of work.
 */
#ifndef TESTS_CUDA_SHIM_SHIM_LAUNCH_H
#define TESTS_CUDA_SHIM_SHIM_LAUNCH_H

#include <stdbool.h>

#include <cuda_runtime_api.h>

struct shim_launch {
    const void *kernel;
    dim3 grid, block;
    size_t shared_bytes;
    bool is_early; /* may start before the launch before it has ended */
    _Alignas(16) unsigned char params[4096];
};

/* Copies the one parameter out of args; refuses what a GPU would. */
cudaError_t shim_launch_make(struct shim_launch *l, const void *kernel, dim3 grid, dim3 block,
                             void **args, size_t shared_bytes);
void shim_launch_run(const void *launch); /* a shim_queue_run */

#endif
