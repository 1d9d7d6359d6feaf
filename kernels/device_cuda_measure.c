/*
 * Ceilings, measured: what a copy within device memory and what the link give.
 */
#include "kernels/device_cuda_state.h"

#define READ_LEAST ((size_t)64 << 20)
#define LINK_BYTES ((size_t)32 << 20)
enum { CACHES = 8, ROUNDS = 4, LINK_COPIES = 4 };

/* The best of several rounds of `n_copies` copies, in bytes carried per nanosecond. */
static cudaError_t best_rate(struct device_cuda *cuda, void *dst, const void *src, size_t n,
                             int n_copies, double *out_gbps)
{
    cudaEvent_t begin = cuda->queue.stall[0].begin, end = cuda->queue.stall[0].end;
    cudaError_t e = cudaSuccess;
    float ms = 0;

    *out_gbps = 0;
    for (int round = 0; e == cudaSuccess && round < ROUNDS; round++) {
        e = cudaEventRecord(begin, cuda->compute);
        for (int i = 0; e == cudaSuccess && i < n_copies; i++)
            e = cudaMemcpyAsync(dst, src, n, cudaMemcpyDefault, cuda->compute);
        if (e == cudaSuccess)
            e = cudaEventRecord(end, cuda->compute);
        if (e == cudaSuccess)
            e = cudaEventSynchronize(end);
        if (e == cudaSuccess)
            e = cudaEventElapsedTime(&ms, begin, end);
        if (e == cudaSuccess && ms > 0 && (double)n * n_copies / (ms * 1e6) > *out_gbps)
            *out_gbps = (double)n * n_copies / (ms * 1e6);
    }
    return e;
}

/* The stall events are free, and nothing else runs, once the device has been
 * waited for. */
static enum status settle(struct device *dev, struct err *err)
{
    enum status st = device_cuda_sync(dev, err);

    if (st == ST_OK)
        dev->backend->quiesce(dev);
    return st;
}

enum status device_cuda_measure_read(struct device *dev, double *out_gbps, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    size_t n = CACHES * cuda->limits.l2_bytes;
    void *a = NULL, *b = NULL;
    enum status st = settle(dev, err);
    cudaError_t e;

    n = n > READ_LEAST ? n : READ_LEAST;
    if (st == ST_OK)
        st = device_cuda_alloc(dev, n, &a, err);
    if (st == ST_OK)
        st = device_cuda_alloc(dev, n, &b, err);
    if (st == ST_OK) {
        e = best_rate(cuda, b, a, n, 1, out_gbps);
        *out_gbps *= 2; /* read and written */
        if (e != cudaSuccess)
            st = device_cuda_fault(cuda, e, "copying device memory", err);
    }
    cudaFree(b);
    cudaFree(a);
    return st;
}

enum status device_cuda_measure_link(struct device *dev, double *out_gbps, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    void *host = NULL, *p = NULL;
    enum status st = settle(dev, err);
    cudaError_t e;

    if (st == ST_OK)
        st = device_cuda_alloc(dev, LINK_BYTES, &p, err);
    if (st == ST_OK && (e = cudaHostAlloc(&host, LINK_BYTES, cudaHostAllocDefault)) != cudaSuccess)
        st = device_cuda_refused(e, "allocating pinned host memory", err);
    if (st == ST_OK) {
        e = best_rate(cuda, p, host, LINK_BYTES, LINK_COPIES, out_gbps);
        if (e != cudaSuccess)
            st = device_cuda_fault(cuda, e, "copying over the link", err);
    }
    cudaFreeHost(host);
    cudaFree(p);
    return st;
}
