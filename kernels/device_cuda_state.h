/*
 * device_cuda_state.h - the CUDA device and what its files ask of each other.
 * For device_cuda*.c only: it needs the toolkit's headers.
 *
 * A device has one compute stream, on which everything runs in call order, and
 * one stream for the copy queue. One thread uses a device.
 */
#ifndef KERNELS_DEVICE_CUDA_STATE_H
#define KERNELS_DEVICE_CUDA_STATE_H

#include <cuda_runtime_api.h>

#include "common/pool.h"
#include "kernels/device_backend.h"
#include "kernels/device_cuda.h"

enum {
    CUDA_FENCES = 64, /* segments whose arguments may be under way at once */
    /* Copies under way at once, more than two staged layers of 128K tokens have pages: a host that
     * waits here is late with operations, and their waiting is not seen as waiting for copies. */
    CUDA_TICKETS = 2048,
    CUDA_STALLS = 256,  /* waits for copies between two points where the host waits */
    CUDA_BOUNCES = 4,   /* pinned buffers between pageable memory and the device */
    CUDA_KERNELS = 512, /* slots of the table of kernels that want much shared memory */
    CUDA_UUID_BYTES = 16
};

/* A launch as it stands in a segment's key; its parameters follow, zero-padded
 * to 16. Keys are compared as bytes, so there is no padding inside. */
struct cuda_launch_head {
    const char *name; /* of the operation */
    const void *kernel;
    uint32_t grid[3], block[3];
    uint32_t shared_bytes, params_bytes;
    uint32_t is_early, zero[3];
};

/* Bytes of pinned memory [begin, end) are free again once `event` has passed. */
struct cuda_fence {
    size_t begin, end;
    cudaEvent_t event;
};

/* What has been recorded and not submitted, and where arguments travel: host
 * array to pinned ring, by one kernel to the slab, where kernels read them. */
struct cuda_segment {
    unsigned char *key; /* owned; heads and parameters */
    size_t key_bytes;
    int n_launches;
    const char *op_name;
    int op_launches;            /* that the operation may still record */
    size_t op_args;             /* bytes that it may still put */
    unsigned char *ring, *slab; /* owned; pinned, device */
    size_t slab_bytes, ring_bytes, ring_at, args_bytes;
    bool has_room; /* slab_bytes of the ring at ring_at are free */
    struct cuda_fence fence[CUDA_FENCES];
    unsigned first_fence, n_fences;
    void *scratch; /* owned */
    size_t scratch_bytes;
    struct {
        const void *kernel;
        size_t shared_bytes;
    } kernel[CUDA_KERNELS];
};

struct cuda_graph_cache; /* owns graphs */

struct cuda_bounce {
    unsigned char *p;  /* owned, pinned */
    cudaEvent_t event; /* the last copy from or to it */
};

struct cuda_stall {
    cudaEvent_t begin, end; /* with times, on the compute stream */
};

/* The copy queue. Tickets are 1, 2, ...; ticket t's event is event[t % n]. */
struct cuda_queue {
    cudaStream_t stream;
    cudaEvent_t order; /* of the compute stream, that the next copy waits for */
    cudaEvent_t event[CUDA_TICKETS];
    uint64_t last, waited; /* newest ticket; newest that computing waits for */
    uint64_t seen_work;    /* `work` of the device when a copy last waited for it */
    uint64_t n_bytes;
    struct cuda_stall stall[CUDA_STALLS];
    int n_stalls;
    double stall_ns;
};

struct cuda_range {
    char *host;
    size_t size_bytes;
};

struct cuda_import {
    cudaIpcMemHandle_t handle;
    uint64_t generation;
    void *p;
    int n_uses;
    bool is_local; /* of this process: nothing was opened */
};

struct device_cuda {
    struct device base; /* first: a struct device * is a struct device_cuda * */
    int number;
    struct device_cuda_limits limits;
    unsigned char uuid[CUDA_UUID_BYTES];
    bool can_share;
    char lost[256]; /* words of an error after which nothing works; "" before */
    cudaStream_t compute;
    uint64_t work;    /* grows with everything queued on the compute stream */
    bool can_overlap; /* kernels may start early (device_cuda_graph.c) */
    struct cuda_segment segment;
    struct cuda_graph_cache *graphs;
    struct cuda_bounce up[CUDA_BOUNCES], down[2];
    int next_up;
    struct pool *pool; /* copies big uploads into pinned memory; opened when needed */
    int n_threads;
    struct cuda_queue queue;
    struct cuda_range *range; /* owned; registered host memory */
    int n_ranges;
    struct cuda_import *import; /* owned */
    int n_imports;
    uint64_t n_exports;
    void *blas, *blas_workspace;
};

static inline struct device_cuda *device_cuda_of(const struct device *dev)
{
    return (struct device_cuda *)dev;
}

/* device_cuda_fault.c */
/* The device is this thread's current one; ST_DEVICE once it is lost. */
enum status device_cuda_enter(struct device_cuda *cuda, struct err *err);
/* Words for a failed call that leaves the device as it was. */
enum status device_cuda_refused(cudaError_t e, const char *what, struct err *err);
/* Words for a failure of work queued or to be queued; the device counts as lost. */
enum status device_cuda_fault(struct device_cuda *cuda, cudaError_t e, const char *what,
                              struct err *err);
enum status device_cuda_no_space(size_t size_bytes, struct err *err);

/* device_cuda_segment.c */
enum status device_cuda_segment_open(struct device_cuda *cuda, struct err *err);
void device_cuda_segment_close(struct device_cuda *cuda);

/* device_cuda_graph.c */
struct cuda_graph_cache *device_cuda_graph_open(void);
void device_cuda_graph_close(struct cuda_graph_cache *cache); /* NULL is fine */
/* Queues the segment's launches, as a graph from the second sight of a key on.
 * can_overlap is false after a driver has refused a graph of early launches, which
 * then runs in order, as all later ones do. */
enum status device_cuda_graph_run(struct device_cuda *cuda, struct err *err);

/* device_cuda_args_cuda.cu */
/* Queues on the compute stream, without the copy engines, that `bytes` of pinned
 * memory come to the slab: a multiple of 16, > 0, as both addresses are. A cudaError_t. */
int device_cuda_args_send(struct device *dev, void *slab, const void *ring, size_t bytes);

/* device_cuda_pair_cuda.cu */
/* Runs two early launches one by one and as a graph, and waits. */
enum status device_cuda_pair_try(struct device *dev, struct err *err);

/* device_cuda_memory.c */
enum status device_cuda_alloc(struct device *dev, size_t size_bytes, void **out, struct err *err);
void device_cuda_free(struct device *dev, void *p, size_t size_bytes);
enum status device_cuda_adopt(struct device *dev, const void *host, size_t size_bytes,
                              const void **out, struct err *err);
void device_cuda_drop(struct device *dev, const void *p, size_t size_bytes);
enum status device_cuda_register(struct device *dev, void *host, size_t size_bytes,
                                 struct err *err);
void device_cuda_unregister(struct device *dev, void *host);
bool device_cuda_is_registered(const struct device_cuda *cuda, const void *host, size_t n);

/* device_cuda_transfer.c */
enum status device_cuda_transfer_open(struct device_cuda *cuda, struct err *err);
void device_cuda_transfer_close(struct device_cuda *cuda);
enum status device_cuda_upload(struct device *dev, void *dst, const void *src, size_t n,
                               struct err *err);
enum status device_cuda_download(struct device *dev, void *host, const void *src, size_t n,
                                 struct err *err);
enum status device_cuda_sync(struct device *dev, struct err *err);

/* device_cuda_queue.c */
enum status device_cuda_queue_open(struct device_cuda *cuda, struct err *err);
void device_cuda_queue_close(struct device_cuda *cuda);
enum status device_cuda_queue_start(struct device *dev, void *dst, const void *host, size_t n,
                                    uint64_t *ticket, struct err *err);
enum status device_cuda_queue_wait(struct device *dev, uint64_t ticket, struct err *err);
bool device_cuda_queue_done(struct device *dev, uint64_t ticket);
uint64_t device_cuda_queue_bytes(const struct device *dev);
uint64_t device_cuda_queue_stall_ns(const struct device *dev);
/* Adds up the stalls that are over; the compute stream has been waited for. */
enum status device_cuda_queue_collect(struct device_cuda *cuda, struct err *err);

/* device_cuda_share.c */
/* True if the driver gives handles for p, a device allocation. */
bool device_cuda_share_probe(void *p);
enum status device_cuda_share_export(struct device *dev, const void *p, size_t size_bytes,
                                     struct device_share *out, struct err *err);
enum status device_cuda_share_import(struct device *dev, const struct device_share *share,
                                     void **out, size_t *size_bytes, struct err *err);
void device_cuda_share_drop(struct device *dev, const void *p);
void device_cuda_share_close(struct device_cuda *cuda);

/* device_cuda_blas.c */
void device_cuda_blas_close(struct device_cuda *cuda);

/* device_cuda_measure.c */
enum status device_cuda_measure_read(struct device *dev, double *out_gbps, struct err *err);
enum status device_cuda_measure_link(struct device *dev, double *out_gbps, struct err *err);

/* device_cuda_range.c */
void device_cuda_range_push(struct device *dev, const char *name);
void device_cuda_range_pop(struct device *dev);

#endif
