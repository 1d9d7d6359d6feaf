/*
 * device_cuda.h - what the CUDA implementations of operations share: scratch,
 * arguments, launches. For files in kernels/ only.
 *
 * An operation calls device_cuda_begin, then device_cuda_args for what varies
 * from call to call, then launches (cuda_launch.cuh). Launches are recorded
 * into a segment, which goes to the one compute stream when it is full or when
 * something else must run in order with it. A segment whose launches (kernel,
 * sizes and bytes of the parameters) were seen before runs as a CUDA graph:
 * so parameters hold what stays the same, and grids change seldom.
 */
#ifndef KERNELS_DEVICE_CUDA_H
#define KERNELS_DEVICE_CUDA_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "kernels/device.h"

/* Launches in a segment, and so in one operation. */
enum { DEVICE_CUDA_SEGMENT = 64 };

struct device_cuda_op {
    const char *name;     /* "rmsnorm"; static storage */
    size_t args_bytes;    /* host arrays, each rounded up to 16 */
    size_t scratch_bytes; /* device memory */
    int n_launches;       /* at most; <= DEVICE_CUDA_SEGMENT */
};

/* Start of an operation: room for its arguments, launches and scratch. *scratch
 * (NULL if scratch_bytes is 0) is device memory aligned to 256 of undefined
 * content, this operation's alone until the next operation's kernels run.
 * `scratch` may be NULL. ST_NO_SPACE, ST_DEVICE. */
enum status device_cuda_begin(struct device *dev, const struct device_cuda_op *op, void **scratch,
                              struct err *err);

/* Copies n bytes of host memory; *out is the device address, aligned to 16, at
 * which this operation's kernels find them. The same in every repetition of the
 * same sequence of operations. */
enum status device_cuda_args(struct device *dev, const void *host, size_t n, const void **out,
                             struct err *err);

struct device_cuda_launch {
    const void *kernel; /* host function of a __global__ that takes one struct by value */
    uint32_t grid[3], block[3];
    size_t shared_bytes; /* dynamic */
    const void *params;  /* that struct, padding zeroed; copied */
    size_t params_bytes;
    bool is_early; /* cuda_launch_early */
};

/* Behind cuda_launch. */
enum status device_cuda_launch(struct device *dev, const struct device_cuda_launch *launch,
                               struct err *err);

/* Everything recorded goes to the stream: before anything that is queued there
 * by other means. */
enum status device_cuda_submit(struct device *dev, struct err *err);
void *device_cuda_stream(struct device *dev); /* the compute stream, a cudaStream_t */

/* n bytes of device memory to host memory, after all operations so far; waits. */
enum status device_cuda_read(struct device *dev, void *host, const void *src, size_t n,
                             struct err *err);

/* The cublasHandle_t of this device, on the compute stream, with a workspace of
 * its own and without atomics, so that equal calls give equal bits. Opened at the
 * first call, closed with the device. Call device_cuda_submit before using it. */
enum status device_cuda_blas(struct device *dev, void **handle, struct err *err);

struct device_cuda_limits {
    int n_sm;
    int cc;                            /* compute capability: 80, 90 */
    size_t shared_per_block, l2_bytes; /* shared memory with opt-in */
    size_t memory_bytes;
};
const struct device_cuda_limits *device_cuda_limits(const struct device *dev);

#endif
