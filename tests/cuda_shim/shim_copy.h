/*
 * shim_copy.h - one copy between host and device memory as a piece of work.
 */
#ifndef TESTS_CUDA_SHIM_SHIM_COPY_H
#define TESTS_CUDA_SHIM_SHIM_COPY_H

#include <stdbool.h>

#include <cuda_runtime_api.h>

struct shim_copy {
    void *dst;
    const void *src;
    size_t n;
    bool pageable; /* one side is host memory that is not pinned */
};

/* Refuses what does not lie in one allocation, or not where `kind` says. */
cudaError_t shim_copy_make(struct shim_copy *c, void *dst, const void *src, size_t n,
                           enum cudaMemcpyKind kind);
void shim_copy_run(const void *copy); /* a shim_queue_run */

#endif
