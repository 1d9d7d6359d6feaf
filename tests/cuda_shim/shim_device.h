/*
 * shim_device.h - the GPUs that the shim makes believe there are, the one lock,
 * and faults to order.
 *
 * Environment, of the shim alone:
 *   MSPECKV_SHIM_DEVICES     how many GPUs (1)
 *   MSPECKV_SHIM_MEMORY_MIB  memory of each (4096)
 *   MSPECKV_SHIM_FAULTS      words with commas: "malloc:3" lets the third
 *     cudaMalloc fail and those after it; "malloc" all of them. malloc,
 *     register, ipc, peer, launch (the GPU is lost, for good), driver (too old),
 *     nodriver, busy, early (a graph with an early launch is refused).
 *   MSPECKV_SHIM_LOST        once a file of this name is there, launches lose
 *     the GPU, and processes that start see none
 */
#ifndef TESTS_CUDA_SHIM_SHIM_DEVICE_H
#define TESTS_CUDA_SHIM_SHIM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include <cuda_runtime_api.h>

#define SHIM_DEVICES_MAX         8
#define SHIM_DEVICE_SHARED_BYTES (227 << 10)

int shim_device_count(void);
int shim_device_current(void); /* of this OS thread */
size_t shim_device_memory_bytes(void);

/* Every entry of the runtime holds the lock, so that one OS thread at a time
 * changes what is known and runs kernels. */
void shim_device_enter(void);
/* Leaves; a failure is remembered for cudaGetLastError. Returns `error`, or the
 * error of a GPU that was lost before. */
cudaError_t shim_device_leave(cudaError_t error);

/* True if this call, the next one of its kind, is ordered to fail. */
bool shim_device_fault(const char *kind);
void shim_device_lose(cudaError_t error); /* every later call gives this error */

#endif
