/*
 * device.h - the boundary: a device is opened by name and gives memory, a copy
 * queue, and a table of operations.
 *
 * Above this folder there is no CUDA type and no backend name. Pointers that
 * come from device_alloc or device_adopt are device memory: only operations
 * and copies may touch them (on the cpu device they are host memory, but code
 * above must not rely on it).
 *
 * Operations queue on the device's compute stream in call order; device_sync
 * waits for them. On the cpu device they have run when the call returns.
 */
#ifndef KERNELS_DEVICE_H
#define KERNELS_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "kernels/kv_view.h"

struct device; /* owns memory, streams, threads */
struct device_ops;

/* What an allocation is for: the ledger is printed by these words and checked
 * against the allocator. */
enum device_use {
    DEVICE_WEIGHTS,
    DEVICE_KV_ON_CHIP,
    DEVICE_KV_RESIDENT,
    DEVICE_KV_TAIL,
    DEVICE_KV_RETRIEVAL,
    DEVICE_KV_STAGING,
    DEVICE_KV_DRAFT,
    DEVICE_SCRATCH,
    DEVICE_USE_COUNT
};

struct device_options {
    int n_threads;    /* cpu: compute threads; 0: all CPUs this process may use */
    double link_gbps; /* cpu: simulated link in 1e9 bytes per second; 0: no link */
    bool portable;    /* cpu: never use AVX2 paths (tests) */
};

/* `name` is "cpu:N" or "cuda:N". ST_NOT_FOUND names what this machine has; ST_DEVICE what
 * stands in the way of a GPU (driver, busy, lost). */
enum status device_open(struct device **out, const char *name, const struct device_options *opt,
                        struct err *err);
void device_close(struct device *dev); /* everything must be given back; NULL is fine */

/* "cpu:0 (2 threads, avx2)" */
const char *device_describe(const struct device *dev);
/* True if operations can read host memory where it lies (cpu without a link):
 * then offloaded pages are not staged, only counted. */
bool device_reads_host(const struct device *dev);
/* True if device_adopt gives the same memory (cpu), false if it copies (cuda). */
bool device_shares_host(const struct device *dev);
/* The NUMA node whose memory is nearest to the device; -1: unknown, or any (cpu). */
int device_numa_node(const struct device *dev);
/* Simulated link rate, 0 if there is none. Tables say so wherever it counts. */
double device_link_gbps(const struct device *dev);

/* 64-byte aligned, zeroed. ST_NO_SPACE. */
enum status device_alloc(struct device *dev, enum device_use use, size_t size_bytes, void **out,
                         struct err *err);
void device_free(struct device *dev, void *p); /* NULL is fine */
size_t device_used(const struct device *dev, enum device_use use);

/* Host memory (a mapped checkpoint, a shared segment) made visible to
 * operations: the same pointer on cpu, a copy on cuda. Borrows `host` until
 * device_drop. Counted under `use` in full. */
enum status device_adopt(struct device *dev, enum device_use use, const void *host,
                         size_t size_bytes, const void **out, struct err *err);
void device_drop(struct device *dev, const void *p);

/* Copies in order with operations, not over the simulated link (set-up, weights, snapshot); host
 * memory is free again when they return. The source of an upload may also be memory of the same
 * device: it then queues like an operation. */
enum status device_upload(struct device *dev, void *dst, const void *host, size_t n,
                          struct err *err);
enum status device_download(struct device *dev, void *host, const void *src, size_t n,
                            struct err *err);
enum status device_sync(struct device *dev, struct err *err);

/* Pins host memory that device_copy_start and downloads then use directly: at
 * full rate and beside computing; without it they go by slower ways. Borrows it
 * until device_unregister_host of the same pointer. Nothing happens on cpu.
 * ST_DEVICE names what the machine refuses and the remedy. */
enum status device_register_host(struct device *dev, void *host, size_t size_bytes,
                                 struct err *err);
void device_unregister_host(struct device *dev, void *host); /* NULL is fine */

/* A block of device memory as another process of this machine can open it. The
 * bytes travel in messages; their content is the backend's. */
struct device_share {
    uint8_t bytes[128];
};

/* True if blocks of this device can be shared with other processes. */
bool device_can_share(const struct device *dev);
/* `p` is a block of device_alloc or device_adopt; whoever imports it must be
 * done before the block is given back. ST_UNSUPPORTED on cpu. */
enum status device_export(struct device *dev, const void *p, struct device_share *out,
                          struct err *err);
/* The block in this process, counted under `use` and given back with
 * device_drop; a block that was imported already is the same memory again.
 * ST_CORRUPT or ST_VERSION for bytes that are no share, ST_STALE for a block that
 * was given back, ST_DEVICE when the machine refuses. Memory of another GPU is
 * opened through peer access. */
enum status device_import(struct device *dev, enum device_use use, const struct device_share *share,
                          void **out, struct err *err);

/* The copy queue over the link: copies run one after the other, beside
 * computing. A copy begins after the operations queued so far, so memory may be
 * written again as soon as its last reader was queued. A ticket is done when all
 * copies up to it are; tickets grow by one. A simulated link paces by sleeping:
 * a copy of n bytes ends no earlier than n / rate after it began. Borrows dst and
 * host until the ticket is done.
 * After device_copy_wait, operations that are queued see the bytes; on cuda the
 * caller does not wait, only the operations do. */
enum status device_copy_start(struct device *dev, void *dst, const void *host, size_t n,
                              uint64_t *ticket, struct err *err);
enum status device_copy_wait(struct device *dev, uint64_t ticket, struct err *err);
bool device_copy_done(struct device *dev, uint64_t ticket);
/* Bytes carried by the queue since open. */
uint64_t device_copy_bytes(const struct device *dev);
/* Total time since open that computing stood still for copies: on cpu the
 * caller's in device_copy_wait, on cuda the compute stream's, up to the last
 * point where the host waited for it (device_sync, device_download). */
uint64_t device_copy_stall_ns(const struct device *dev);

/* 1e9 bytes per second of a plain read of device memory by all threads,
 * measured now over a buffer several times the last cache. On cuda: of a copy within
 * device memory, bytes read and bytes written both counted. */
enum status device_measure_read(struct device *dev, double *out_gbps, struct err *err);
/* 1e9 bytes per second of copies from pinned host memory, measured now; on cpu
 * the simulated rate, 0 without a link. */
enum status device_measure_link(struct device *dev, double *out_gbps, struct err *err);

/* A named range of this thread, for a profiler that watches the device (NVTX on
 * cuda, nothing on cpu); ranges nest. While a trace is on (common/trace.h) its spans
 * are ranges of the device that was opened last. */
void device_range_push(struct device *dev, const char *name);
void device_range_pop(struct device *dev);

const struct device_ops *device_ops(struct device *dev);

#endif
