#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/device_cuda_ops.h"
#include "kernels/device_cuda_state.h"

enum { LEAST_DRIVER = 13000, LEAST_CC = 80, OVERLAP_CC = 90 };

const struct device_module *device_cuda_module(void);

static bool reads_host(const struct device *dev)
{
    return false;
}

static bool shares_host(const struct device *dev)
{
    return false;
}

static bool can_share(const struct device *dev)
{
    return device_cuda_of(dev)->can_share;
}

/* A lost device answers every wait at once. */
static void quiesce(struct device *dev)
{
    struct device_cuda *cuda = device_cuda_of(dev);

    (void)device_cuda_submit(dev, NULL); /* errors are said by the next call that can fail */
    if (cuda->queue.stream != NULL)
        (void)cudaStreamSynchronize(cuda->queue.stream);
    if (cuda->compute != NULL)
        (void)cudaStreamSynchronize(cuda->compute);
    (void)cudaGetLastError();
}

static void close_device(struct device *dev)
{
    struct device_cuda *cuda = device_cuda_of(dev);

    (void)cudaSetDevice(cuda->number);
    device_cuda_blas_close(cuda);
    device_cuda_graph_close(cuda->graphs);
    device_cuda_share_close(cuda);
    for (int i = cuda->n_ranges; i > 0; i--)
        device_cuda_unregister(dev, cuda->range[i - 1].host);
    free(cuda->range);
    device_cuda_queue_close(cuda);
    device_cuda_transfer_close(cuda);
    device_cuda_segment_close(cuda);
    if (cuda->compute != NULL)
        cudaStreamDestroy(cuda->compute);
    (void)cudaGetLastError();
    free(cuda);
}

static const struct device_backend cuda_backend = {
    .close = close_device,
    .reads_host = reads_host,
    .shares_host = shares_host,
    .can_share = can_share,
    .alloc = device_cuda_alloc,
    .free = device_cuda_free,
    .adopt = device_cuda_adopt,
    .drop = device_cuda_drop,
    .register_host = device_cuda_register,
    .unregister_host = device_cuda_unregister,
    .export_block = device_cuda_share_export,
    .import_block = device_cuda_share_import,
    .drop_import = device_cuda_share_drop,
    .upload = device_cuda_upload,
    .download = device_cuda_download,
    .sync = device_cuda_sync,
    .quiesce = quiesce,
    .copy_start = device_cuda_queue_start,
    .copy_wait = device_cuda_queue_wait,
    .copy_done = device_cuda_queue_done,
    .copy_bytes = device_cuda_queue_bytes,
    .copy_stall_ns = device_cuda_queue_stall_ns,
    .measure_read = device_cuda_measure_read,
    .measure_link = device_cuda_measure_link,
    .range_push = device_cuda_range_push,
    .range_pop = device_cuda_range_pop,
};

const struct device_cuda_limits *device_cuda_limits(const struct device *dev)
{
    return &device_cuda_of(dev)->limits;
}

/* A driver that serves CUDA 13 (release notes of the toolkit: 580 or newer), and
 * a GPU of that number. */
static enum status check_driver(int number, struct err *err)
{
    int version = 0, n = 0;
    cudaError_t e = cudaDriverGetVersion(&version);

    if (e != cudaSuccess || version == 0)
        return err_set(err, ST_DEVICE,
                       "this machine has no NVIDIA driver (libcuda.so.1); install driver 580 or "
                       "newer, in a container: run it with --gpus all");
    if (version < LEAST_DRIVER)
        return err_set(err, ST_DEVICE,
                       "the NVIDIA driver serves CUDA %d.%d; CUDA 13 needs driver 580 or newer",
                       version / 1000, version % 1000 / 10);
    e = cudaGetDeviceCount(&n);
    if (e == cudaErrorNoDevice || (e == cudaSuccess && n == 0))
        return err_set(err, ST_NOT_FOUND, "the NVIDIA driver shows this process no GPU");
    if (e != cudaSuccess)
        return device_cuda_refused(e, "counting GPUs", err);
    if (number >= n)
        return err_set(err, ST_NOT_FOUND, "there %s %d GPU%s here: cuda:0%s", n == 1 ? "is" : "are",
                       n, n == 1 ? "" : "s", n == 1 ? "" : " and on");
    return ST_OK;
}

/* What the kernel says of the bus that the GPU hangs on; -1: nothing. */
static int numa_node_of(int number)
{
    char address[32], path[96];
    int node = -1;
    FILE *f;

    if (cudaDeviceGetPCIBusId(address, sizeof address, number) != cudaSuccess) {
        (void)cudaGetLastError();
        return -1;
    }
    for (char *c = address; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c); /* as sysfs writes it */
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", address);
    f = fopen(path, "re");
    if (f == NULL)
        return -1;
    if (fscanf(f, "%d", &node) != 1 || node < 0)
        node = -1;
    fclose(f);
    return node;
}

static enum status read_limits(struct device_cuda *cuda, struct err *err)
{
    struct cudaDeviceProp p;
    cudaError_t e = cudaGetDeviceProperties(&p, cuda->number);

    if (e != cudaSuccess)
        return device_cuda_refused(e, "asking for the GPU's properties", err);
    cuda->limits = (struct device_cuda_limits){.n_sm = p.multiProcessorCount,
                                               .cc = p.major * 10 + p.minor,
                                               .shared_per_block = p.sharedMemPerBlockOptin,
                                               .l2_bytes = (size_t)p.l2CacheSize,
                                               .memory_bytes = p.totalGlobalMem};
    memcpy(cuda->uuid, &p.uuid, sizeof cuda->uuid);
    cuda->base.numa_node = numa_node_of(cuda->number);
    snprintf(cuda->base.describe, sizeof cuda->base.describe, "cuda:%d (%.80s)", cuda->number,
             p.name);
    if (cuda->limits.cc < LEAST_CC)
        return err_set(err, ST_DEVICE,
                       "%.80s has compute capability %d.%d; 8.0 (Ampere) or newer is needed",
                       p.name, p.major, p.minor);
    return ST_OK;
}

/* The first call that needs the GPU itself. */
static enum status occupy(struct device_cuda *cuda, struct err *err)
{
    cudaError_t e = cudaSetDevice(cuda->number);

    if (e == cudaSuccess)
        e = cudaStreamCreateWithFlags(&cuda->compute, cudaStreamNonBlocking);
    if (e == cudaErrorDevicesUnavailable || e == cudaErrorDeviceUninitialized)
        return device_cuda_refused(e,
                                   "the GPU is taken by another process (exclusive mode) or "
                                   "switched off; choose another, or nvidia-smi -c DEFAULT",
                                   err);
    if (e == cudaErrorMemoryAllocation)
        return device_cuda_no_space(0, err);
    if (e != cudaSuccess)
        return device_cuda_refused(e, "opening the GPU", err);
    return ST_OK;
}

static int allowed_cpus(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* Launches are tried as they will be used, so that what this GPU is called says at
 * once if its kernels run in order although they need not. */
static enum status try_overlap(struct device_cuda *cuda, struct err *err)
{
    size_t n = strlen(cuda->base.describe);
    enum status st;

    cuda->can_overlap = cuda->limits.cc >= OVERLAP_CC;
    if (!cuda->can_overlap)
        return ST_OK;
    st = device_cuda_pair_try(&cuda->base, err);
    if (st == ST_OK && !cuda->can_overlap)
        snprintf(cuda->base.describe + n, sizeof cuda->base.describe - n,
                 " without early launches");
    return st;
}

static enum status open_parts(struct device_cuda *cuda, struct err *err)
{
    enum status st = occupy(cuda, err);

    if (st == ST_OK)
        st = device_cuda_segment_open(cuda, err);
    if (st == ST_OK)
        st = device_cuda_transfer_open(cuda, err);
    if (st == ST_OK)
        st = device_cuda_queue_open(cuda, err);
    if (st == ST_OK)
        cuda->can_share = device_cuda_share_probe(cuda->segment.slab);
    if (st == ST_OK)
        st = try_overlap(cuda, err);
    return st;
}

static enum status open_device(struct device **out, int number, const struct device_options *opt,
                               struct err *err)
{
    struct device_cuda *cuda;
    enum status st = ST_OK;

    if (opt->link_gbps > 0)
        return err_set(err, ST_INVALID,
                       "a simulated link of %g GB/s: a GPU has a real one; leave link out",
                       opt->link_gbps);
    st = check_driver(number, err);
    if (st != ST_OK)
        return st;
    cuda = mem_zalloc(sizeof *cuda);
    cuda->base.backend = &cuda_backend;
    cuda->base.ops = &device_cuda_ops;
    cuda->number = number;
    cuda->n_threads = opt->n_threads > 0 ? opt->n_threads : allowed_cpus();
    cuda->graphs = device_cuda_graph_open();
    st = read_limits(cuda, err);
    if (st == ST_OK)
        st = open_parts(cuda, err);
    if (st != ST_OK) {
        close_device(&cuda->base);
        return st;
    }
    *out = &cuda->base;
    return ST_OK;
}

/* The one name that the shared object shows. */
__attribute__((visibility("default"))) const struct device_module *device_cuda_module(void)
{
    static const struct device_module module = {
        .abi = DEVICE_MODULE_ABI,
        .device_bytes = sizeof(struct device),
        .backend_bytes = sizeof(struct device_backend),
        .ops_bytes = sizeof(struct device_ops),
        .open = open_device,
    };

    return &module;
}
