/*
 * shim_memory.h - the memory of the shim's GPUs, and which host memory is
 * pinned.
 *
 * Device memory is mapped twice. The addresses that the program gets can be
 * touched only while kernels run, so that host code which follows a device
 * pointer dies; copies use the second mapping. An allocation ends where a page
 * ends that is never opened, and its first bytes are 0xff.
 */
#ifndef TESTS_CUDA_SHIM_SHIM_MEMORY_H
#define TESTS_CUDA_SHIM_SHIM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include <cuda_runtime_api.h>

cudaError_t shim_memory_alloc(int device, size_t size_bytes, void **out);
cudaError_t shim_memory_free(void *p);
size_t shim_memory_used(int device);

/* Where n bytes at the device address `p` can be reached by copies. NULL if
 * they do not lie in one allocation. */
void *shim_memory_reach(const void *p, size_t n);
/* The device whose memory `p` points into, or -1. */
int shim_memory_device_of(const void *p);

/* Device memory can be touched between these; they nest. */
void shim_memory_open(void);
void shim_memory_close(void);

cudaError_t shim_memory_export(const void *p, cudaIpcMemHandle_t *out);
cudaError_t shim_memory_import(const cudaIpcMemHandle_t *handle, void **out);
cudaError_t shim_memory_drop(void *p);

/* Pinned host memory. */
cudaError_t shim_memory_pin(void *p, size_t size_bytes);
cudaError_t shim_memory_unpin(void *p);
enum shim_memory_pinned { SHIM_MEMORY_PAGEABLE, SHIM_MEMORY_PINNED, SHIM_MEMORY_PARTLY_PINNED };
enum shim_memory_pinned shim_memory_pinned(const void *p, size_t n);

#endif
