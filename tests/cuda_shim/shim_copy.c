#include "tests/cuda_shim/shim_copy.h"

#include <stdlib.h>
#include <string.h>

#include "tests/cuda_shim/shim_device.h"
#include "tests/cuda_shim/shim_memory.h"
#include "tests/cuda_shim/shim_queue.h"

/* `p`, or where the copy reaches it if it is device memory. */
static cudaError_t check_side(struct shim_copy *c, const void *p, size_t n, bool may_host,
                              bool may_device)
{
    enum shim_memory_pinned pinned;

    if (shim_memory_device_of(p) >= 0)
        return may_device && shim_memory_reach(p, n) ? cudaSuccess : cudaErrorInvalidValue;
    pinned = shim_memory_pinned(p, n);
    c->pageable = c->pageable || pinned == SHIM_MEMORY_PAGEABLE;
    /* A range that leaves the pinned memory it begins in is refused by CUDA too. */
    return may_host && pinned != SHIM_MEMORY_PARTLY_PINNED ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t shim_copy_make(struct shim_copy *c, void *dst, const void *src, size_t n,
                           enum cudaMemcpyKind kind)
{
    bool any = kind == cudaMemcpyDefault;
    bool dst_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool src_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    cudaError_t error;

    memset(c, 0, sizeof *c);
    c->dst = dst;
    c->src = src;
    c->n = n;
    if (n == 0)
        return cudaSuccess;
    error = check_side(c, dst, n, any || !dst_device, any || dst_device);
    if (error == cudaSuccess)
        error = check_side(c, src, n, any || !src_device, any || src_device);
    return error;
}

static void *reach(const void *p, size_t n)
{
    void *back = shim_memory_reach(p, n);

    return back ? back : (void *)(size_t)p;
}

void shim_copy_run(const void *copy)
{
    struct shim_copy c;

    memcpy(&c, copy, sizeof c);
    if (c.n > 0)
        memmove(reach(c.dst, c.n), reach(c.src, c.n), c.n);
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t n, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    struct shim_copy c;
    cudaError_t error = cudaErrorInvalidResourceHandle;

    shim_device_enter();
    if (shim_queue_is_stream(stream))
        error = shim_copy_make(&c, dst, src, n, kind);
    if (error == cudaSuccess && c.pageable && shim_queue_is_captured(stream))
        error = cudaErrorNotSupported;
    if (error == cudaSuccess) {
        shim_queue_add(stream, shim_copy_run, &c, sizeof c);
        /* Pageable memory is read, or written, before the call returns. */
        if (c.pageable && stream)
            shim_queue_finish(stream);
    }
    return shim_device_leave(error);
}

cudaError_t cudaMemcpy(void *dst, const void *src, size_t n, enum cudaMemcpyKind kind)
{
    return cudaMemcpyAsync(dst, src, n, kind, NULL);
}

struct fill {
    void *dst;
    size_t n;
    int value;
};

static void run_fill(const void *payload)
{
    struct fill f;

    memcpy(&f, payload, sizeof f);
    memset(shim_memory_reach(f.dst, f.n), f.value, f.n);
}

cudaError_t cudaMemsetAsync(void *dst, int value, size_t n, cudaStream_t stream)
{
    struct fill f = {dst, n, value};
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    if (!shim_queue_is_stream(stream))
        error = cudaErrorInvalidResourceHandle;
    else if (n > 0 && !shim_memory_reach(dst, n))
        error = cudaErrorInvalidValue;
    else if (n > 0)
        shim_queue_add(stream, run_fill, &f, sizeof f);
    return shim_device_leave(error);
}

cudaError_t cudaMemset(void *dst, int value, size_t n)
{
    return cudaMemsetAsync(dst, value, n, NULL);
}

/* ---- the runtime's other functions about memory ---- */

cudaError_t cudaMalloc(void **p, size_t size)
{
    cudaError_t error = cudaErrorMemoryAllocation;

    shim_device_enter();
    if (size == 0) {
        *p = NULL;
        error = cudaSuccess;
    } else if (!shim_device_fault("malloc")) {
        error = shim_memory_alloc(shim_device_current(), size, p);
    }
    return shim_device_leave(error);
}

cudaError_t cudaFree(void *p)
{
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    shim_queue_finish(NULL);
    if (p)
        error = shim_memory_free(p);
    return shim_device_leave(error);
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    shim_device_enter();
    *total_bytes = shim_device_memory_bytes();
    *free_bytes = *total_bytes - shim_memory_used(shim_device_current());
    return shim_device_leave(cudaSuccess);
}

cudaError_t cudaHostAlloc(void **p, size_t size, unsigned int flags)
{
    cudaError_t error = cudaErrorMemoryAllocation;
    void *memory = NULL;

    (void)flags;
    shim_device_enter();
    if (size > 0 && posix_memalign(&memory, 4096, size) == 0)
        error = shim_memory_pin(memory, size);
    if (error == cudaSuccess)
        *p = memory;
    else
        free(memory);
    return shim_device_leave(error);
}

cudaError_t cudaMallocHost(void **p, size_t size)
{
    return cudaHostAlloc(p, size, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *p)
{
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    shim_queue_finish(NULL);
    if (p)
        error = shim_memory_unpin(p);
    if (error == cudaSuccess)
        free(p);
    return shim_device_leave(error);
}

cudaError_t cudaHostRegister(void *p, size_t size, unsigned int flags)
{
    cudaError_t error = cudaErrorMemoryAllocation;

    (void)flags;
    shim_device_enter();
    if (!shim_device_fault("register"))
        error = shim_memory_pin(p, size);
    return shim_device_leave(error);
}

cudaError_t cudaHostUnregister(void *p)
{
    shim_device_enter();
    shim_queue_finish(NULL);
    return shim_device_leave(shim_memory_unpin(p));
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *p)
{
    shim_device_enter();
    memset(attributes, 0, sizeof *attributes);
    attributes->device = shim_memory_device_of(p);
    if (attributes->device >= 0) {
        attributes->type = cudaMemoryTypeDevice;
        attributes->devicePointer = (void *)(size_t)p;
    } else if (shim_memory_pinned(p, 1) == SHIM_MEMORY_PINNED) {
        attributes->type = cudaMemoryTypeHost;
        attributes->devicePointer = attributes->hostPointer = (void *)(size_t)p;
        attributes->device = 0;
    }
    return shim_device_leave(cudaSuccess);
}

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *p)
{
    cudaError_t error = cudaErrorNotSupported;

    shim_device_enter();
    shim_queue_finish(NULL);
    if (!shim_device_fault("ipc"))
        error = shim_memory_export(p, handle);
    return shim_device_leave(error);
}

cudaError_t cudaIpcOpenMemHandle(void **p, cudaIpcMemHandle_t handle, unsigned int flags)
{
    cudaError_t error = cudaErrorMapBufferObjectFailed;

    (void)flags;
    shim_device_enter();
    if (!shim_device_fault("ipc"))
        error = shim_memory_import(&handle, p);
    return shim_device_leave(error);
}

cudaError_t cudaIpcCloseMemHandle(void *p)
{
    shim_device_enter();
    shim_queue_finish(NULL);
    return shim_device_leave(shim_memory_drop(p));
}
