/*
 * Blocks of device memory between processes, by CUDA IPC. A handle can be opened
 * once per process and not in the process that owns it, so imports are counted
 * and a process that imports its own block gets its own pointer.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/mem.h"
#include "kernels/device_cuda_state.h"

enum { SHARE_MAGIC = 0x5348434d, SHARE_VERSION = 1 };

struct cuda_share {
    uint32_t magic, version;
    unsigned char uuid[CUDA_UUID_BYTES];
    cudaIpcMemHandle_t handle;
    uint64_t process;    /* a number of the exporting process's own */
    uint64_t address;    /* there */
    uint64_t size_bytes; /* > 0 */
    uint64_t generation; /* grows with every export of a process */
    uint64_t reserved;   /* 0 */
};
_Static_assert(sizeof(struct cuda_share) == sizeof(struct device_share), "it travels as bytes");

static uint64_t process_number;
static pthread_once_t process_once = PTHREAD_ONCE_INIT;

/* Process ids repeat between containers that share a GPU. */
static void draw_process_number(void)
{
    if (getrandom(&process_number, sizeof process_number, 0) != sizeof process_number)
        process_number = (uintptr_t)&process_number;
}

bool device_cuda_share_probe(void *p)
{
    cudaIpcMemHandle_t handle;

    if (cudaIpcGetMemHandle(&handle, p) == cudaSuccess)
        return true;
    (void)cudaGetLastError();
    return false;
}

enum status device_cuda_share_export(struct device *dev, const void *p, size_t size_bytes,
                                     struct device_share *out, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    struct cuda_share share = {.magic = SHARE_MAGIC, .version = SHARE_VERSION};
    enum status st = device_cuda_enter(cuda, err);
    cudaError_t e;

    if (st != ST_OK)
        return st;
    if (size_bytes == 0)
        return err_set(err, ST_INVALID, "a block of 0 bytes");
    e = cudaIpcGetMemHandle(&share.handle, (void *)p);
    if (e != cudaSuccess)
        return device_cuda_refused(
            e, "CUDA IPC is refused; put both workers' weights on GPUs of their own", err);
    (void)pthread_once(&process_once, draw_process_number);
    memcpy(share.uuid, cuda->uuid, sizeof share.uuid);
    share.process = process_number;
    share.address = (uintptr_t)p;
    share.size_bytes = size_bytes;
    share.generation = ++cuda->n_exports;
    memcpy(out->bytes, &share, sizeof share);
    return ST_OK;
}

static enum status check_share(const struct cuda_share *share, struct err *err)
{
    if (share->magic != SHARE_MAGIC)
        return err_set(err, ST_CORRUPT, "these bytes are no share of GPU memory");
    if (share->version != SHARE_VERSION)
        return err_set(err, ST_VERSION, "a share of version %u; this program knows %d",
                       share->version, SHARE_VERSION);
    if (share->size_bytes == 0 || share->address == 0 || share->reserved != 0)
        return err_set(err, ST_CORRUPT, "a share of GPU memory without size or address");
    return ST_OK;
}

static struct cuda_import *find(struct device_cuda *cuda, const struct cuda_share *share)
{
    for (int i = 0; i < cuda->n_imports; i++)
        if (memcmp(&cuda->import[i].handle, &share->handle, sizeof share->handle) == 0)
            return &cuda->import[i];
    return NULL;
}

/* The number of the visible GPU with that uuid, or -1. */
static int find_gpu(const unsigned char *uuid)
{
    struct cudaDeviceProp properties;
    int n = 0;

    if (cudaGetDeviceCount(&n) != cudaSuccess)
        return -1;
    for (int i = 0; i < n; i++)
        if (cudaGetDeviceProperties(&properties, i) == cudaSuccess &&
            memcmp(&properties.uuid, uuid, CUDA_UUID_BYTES) == 0)
            return i;
    return -1;
}

static enum status check_reach(struct device_cuda *cuda, const struct cuda_share *share,
                               struct err *err)
{
    int can_access = 0, owner;

    if (memcmp(share->uuid, cuda->uuid, CUDA_UUID_BYTES) == 0)
        return ST_OK;
    owner = find_gpu(share->uuid);
    if (owner < 0)
        return err_set(err, ST_DEVICE,
                       "the memory lies on a GPU that this process does not see; name both in "
                       "CUDA_VISIBLE_DEVICES, and use one container for both workers");
    if (cudaDeviceCanAccessPeer(&can_access, cuda->number, owner) != cudaSuccess || can_access == 0)
        return err_set(err, ST_DEVICE,
                       "cuda:%d cannot read the memory of cuda:%d directly; put both workers on "
                       "one GPU, or on two that `nvidia-smi topo -p2p r` joins",
                       cuda->number, owner);
    return ST_OK;
}

static enum status open_refused(cudaError_t e, struct err *err)
{
    if (e != cudaErrorInvalidValue && e != cudaErrorInvalidResourceHandle)
        return device_cuda_refused(
            e, "CUDA IPC is refused; run both workers in one container, or with --ipc=host", err);
    (void)cudaGetLastError();
    return err_set(err, ST_STALE, "the memory was given back, or its owner has ended");
}

static enum status open_handle(struct device_cuda *cuda, const struct cuda_share *share,
                               struct err *err)
{
    struct cuda_import import = {.handle = share->handle, .generation = share->generation};
    enum status st = check_reach(cuda, share, err);
    cudaError_t e = cudaSuccess;

    if (st != ST_OK)
        return st;
    (void)pthread_once(&process_once, draw_process_number);
    import.is_local = share->process == process_number;
    if (import.is_local)
        import.p = (void *)(uintptr_t)share->address;
    else
        e = cudaIpcOpenMemHandle(&import.p, share->handle, cudaIpcMemLazyEnablePeerAccess);
    if (e != cudaSuccess)
        return open_refused(e, err);
    cuda->import = mem_resize(cuda->import, (size_t)cuda->n_imports + 1, sizeof *cuda->import);
    cuda->import[cuda->n_imports++] = import;
    return ST_OK;
}

enum status device_cuda_share_import(struct device *dev, const struct device_share *bytes,
                                     void **out, size_t *size_bytes, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    enum status st = device_cuda_enter(cuda, err);
    struct cuda_share share;
    struct cuda_import *import;

    memcpy(&share, bytes->bytes, sizeof share);
    if (st == ST_OK)
        st = check_share(&share, err);
    if (st == ST_OK && find(cuda, &share) == NULL)
        st = open_handle(cuda, &share, err);
    if (st != ST_OK)
        return st;
    import = find(cuda, &share);
    import->n_uses++;
    *out = import->p;
    *size_bytes = share.size_bytes;
    return ST_OK;
}

static void close_import(const struct cuda_import *import)
{
    if (!import->is_local && cudaIpcCloseMemHandle(import->p) != cudaSuccess)
        (void)cudaGetLastError();
}

void device_cuda_share_drop(struct device *dev, const void *p)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    int i = 0;

    while (i < cuda->n_imports && cuda->import[i].p != p)
        i++;
    CHECK(i < cuda->n_imports);
    if (--cuda->import[i].n_uses > 0)
        return;
    cuda->base.backend->quiesce(dev);
    close_import(&cuda->import[i]);
    cuda->import[i] = cuda->import[--cuda->n_imports];
}

void device_cuda_share_close(struct device_cuda *cuda)
{
    for (int i = 0; i < cuda->n_imports; i++)
        close_import(&cuda->import[i]);
    free(cuda->import);
}
