/*
 * shim_kernel.h - kernels by the address of their host function, and the run of
 * a grid: block after block, each thread after thread (shim_block.h).
 */
#ifndef TESTS_CUDA_SHIM_SHIM_KERNEL_H
#define TESTS_CUDA_SHIM_SHIM_KERNEL_H

#include <stddef.h>

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shim_launch;

/* How a kernel with one parameter of `params_bytes` is called by one thread. */
typedef void shim_kernel_call(const void *kernel, const void *params);

/* Adding a kernel again changes nothing. `name` is for messages. */
void shim_kernel_add(const void *kernel, const char *name, size_t params_bytes,
                     shim_kernel_call *call);

/* Raises the dynamic shared memory that a launch may ask for. */
cudaError_t shim_kernel_allow_shared(const void *kernel, int size_bytes);
/* 0 for a kernel that nobody added. */
size_t shim_kernel_params_bytes(const void *kernel);
/* What the GPU would refuse at the launch. */
cudaError_t shim_kernel_check(const void *kernel, dim3 grid, dim3 block, size_t shared_bytes);
/* After shim_kernel_check. */
void shim_kernel_run(const struct shim_launch *launch);

/* The dynamic shared memory of the running block: full of 0xff when it starts,
 * and followed by a page that cannot be touched. */
void *shim_kernel_shared(void);

#ifdef __cplusplus
}
#endif

#endif
