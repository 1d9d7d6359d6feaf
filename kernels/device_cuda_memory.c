#include <stdlib.h>
#include <sys/resource.h>

#include "common/mem.h"
#include "kernels/device_cuda_state.h"

/* The driver pins at most some of this at once; far above any extent. */
#define REGISTER_BYTES ((size_t)64 << 30)

static enum status take(struct device_cuda *cuda, size_t size_bytes, void **out, struct err *err)
{
    enum status st = device_cuda_enter(cuda, err);
    cudaError_t e;

    if (st != ST_OK)
        return st;
    e = cudaMalloc(out, size_bytes > 0 ? size_bytes : 1);
    if (e == cudaErrorMemoryAllocation)
        return device_cuda_no_space(size_bytes, err);
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "allocating device memory", err);
    return ST_OK;
}

enum status device_cuda_alloc(struct device *dev, size_t size_bytes, void **out, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    void *p = NULL;
    enum status st = take(cuda, size_bytes, &p, err);
    cudaError_t e = cudaSuccess;

    if (st != ST_OK)
        return st;
    if (size_bytes > 0)
        e = cudaMemsetAsync(p, 0, size_bytes, cuda->compute);
    if (e != cudaSuccess) {
        cudaFree(p);
        return device_cuda_fault(cuda, e, "clearing device memory", err);
    }
    cuda->work++;
    *out = p;
    return ST_OK;
}

/* Recorded operations may use the block; cudaFree waits for submitted ones. */
static void give(struct device_cuda *cuda, void *p)
{
    (void)device_cuda_submit(&cuda->base, NULL); /* what fails here is said by the next call */
    if (cudaFree(p) != cudaSuccess)
        (void)cudaGetLastError();
}

void device_cuda_free(struct device *dev, void *p, size_t size_bytes)
{
    give(device_cuda_of(dev), p);
}

enum status device_cuda_adopt(struct device *dev, const void *host, size_t size_bytes,
                              const void **out, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    void *p = NULL;
    enum status st = take(cuda, size_bytes, &p, err);

    if (st != ST_OK)
        return st;
    st = device_cuda_upload(dev, p, host, size_bytes, err);
    if (st != ST_OK) {
        cudaFree(p);
        return st;
    }
    *out = p;
    return ST_OK;
}

void device_cuda_drop(struct device *dev, const void *p, size_t size_bytes)
{
    give(device_cuda_of(dev), (void *)p);
}

static void unregister(char *host, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes; at += REGISTER_BYTES)
        if (cudaHostUnregister(host + at) != cudaSuccess)
            (void)cudaGetLastError();
}

static enum status registration_refused(cudaError_t e, struct err *err)
{
    struct rlimit limit = {0};

    (void)cudaGetLastError();
    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur == RLIM_INFINITY)
        return err_set(err, ST_DEVICE,
                       "the machine pins no more host memory (%s); free some, or give the "
                       "container the right to lock it (--cap-add IPC_LOCK)",
                       cudaGetErrorName(e));
    return err_set(err, ST_DEVICE,
                   "the machine refuses to pin it (%s) with %llu bytes of lockable memory; raise "
                   "that limit: ulimit -l unlimited, or --ulimit memlock=-1 for a container",
                   cudaGetErrorName(e), (unsigned long long)limit.rlim_cur);
}

enum status device_cuda_register(struct device *dev, void *host, size_t size_bytes, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    enum status st = device_cuda_enter(cuda, err);

    for (size_t at = 0; st == ST_OK && at < size_bytes; at += REGISTER_BYTES) {
        size_t n = size_bytes - at < REGISTER_BYTES ? size_bytes - at : REGISTER_BYTES;
        cudaError_t e = cudaHostRegister((char *)host + at, n, cudaHostRegisterPortable);
        if (e != cudaSuccess) {
            unregister(host, at);
            return registration_refused(e, err);
        }
    }
    if (st != ST_OK)
        return st;
    cuda->range = mem_resize(cuda->range, (size_t)cuda->n_ranges + 1, sizeof *cuda->range);
    cuda->range[cuda->n_ranges++] = (struct cuda_range){host, size_bytes};
    return ST_OK;
}

void device_cuda_unregister(struct device *dev, void *host)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    int i = 0;

    while (i < cuda->n_ranges && cuda->range[i].host != (char *)host)
        i++;
    CHECK(i < cuda->n_ranges); /* not registered, or given back twice */
    cuda->base.backend->quiesce(dev);
    unregister(cuda->range[i].host, cuda->range[i].size_bytes);
    cuda->range[i] = cuda->range[--cuda->n_ranges];
}

bool device_cuda_is_registered(const struct device_cuda *cuda, const void *host, size_t n)
{
    const char *p = host;

    for (int i = 0; i < cuda->n_ranges; i++) {
        const struct cuda_range *r = &cuda->range[i];
        if (p >= r->host && (size_t)(p - r->host) <= r->size_bytes &&
            n <= r->size_bytes - (size_t)(p - r->host))
            return true;
    }
    return false;
}
