/*
 * device_backend.h - what a backend gives to device.c. For files in kernels/
 * only; a backend's own struct begins with a struct device.
 *
 * device.c keeps the ledger and hands on; the backend does the work. Contracts
 * are those of device.h.
 */
#ifndef KERNELS_DEVICE_BACKEND_H
#define KERNELS_DEVICE_BACKEND_H

#include "kernels/device.h"

enum { DEVICE_DESCRIBE_BYTES = 96 };

struct device_backend {
    void (*close)(struct device *dev); /* all memory has been given back */
    bool (*reads_host)(const struct device *dev);
    bool (*shares_host)(const struct device *dev);
    bool (*can_share)(const struct device *dev);
    enum status (*alloc)(struct device *dev, size_t size_bytes, void **out, struct err *err);
    void (*free)(struct device *dev, void *p, size_t size_bytes);
    enum status (*adopt)(struct device *dev, const void *host, size_t size_bytes, const void **out,
                         struct err *err);
    void (*drop)(struct device *dev, const void *p, size_t size_bytes);
    enum status (*register_host)(struct device *dev, void *host, size_t size_bytes,
                                 struct err *err);
    void (*unregister_host)(struct device *dev, void *host);
    /* p is the start of a block of size_bytes. */
    enum status (*export_block)(struct device *dev, const void *p, size_t size_bytes,
                                struct device_share *out, struct err *err);
    /* Every import is given back by its own drop_import. */
    enum status (*import_block)(struct device *dev, const struct device_share *share, void **out,
                                size_t *size_bytes, struct err *err);
    void (*drop_import)(struct device *dev, const void *p);
    enum status (*upload)(struct device *dev, void *dst, const void *host, size_t n,
                          struct err *err);
    enum status (*download)(struct device *dev, void *host, const void *src, size_t n,
                            struct err *err);
    enum status (*sync)(struct device *dev, struct err *err);
    void (*quiesce)(struct device *dev); /* operations and copies have ended */
    enum status (*copy_start)(struct device *dev, void *dst, const void *host, size_t n,
                              uint64_t *ticket, struct err *err);
    enum status (*copy_wait)(struct device *dev, uint64_t ticket, struct err *err);
    bool (*copy_done)(struct device *dev, uint64_t ticket);
    uint64_t (*copy_bytes)(const struct device *dev);
    uint64_t (*copy_stall_ns)(const struct device *dev);
    enum status (*measure_read)(struct device *dev, double *out_gbps, struct err *err);
    enum status (*measure_link)(struct device *dev, double *out_gbps, struct err *err);
    /* NULL: no profiler knows this device. */
    void (*range_push)(struct device *dev, const char *name);
    void (*range_pop)(struct device *dev);
};

/* How a block came, and so how it goes. */
enum device_origin { DEVICE_ALLOCATED, DEVICE_ADOPTED, DEVICE_IMPORTED };

struct device_block {
    const void *p;
    size_t size_bytes;
    enum device_use use;
    enum device_origin origin;
};

struct device {
    const struct device_backend *backend;
    const struct device_ops *ops;
    char describe[DEVICE_DESCRIBE_BYTES];
    double link_gbps;
    int numa_node;
    struct device_block *block; /* owned */
    size_t n_blocks, cap_blocks;
    size_t used[DEVICE_USE_COUNT];
};

/* The cpu backend; number is the N of "cpu:N". Fills everything but the ledger. */
enum status device_cpu_open(struct device **out, int number, const struct device_options *opt,
                            struct err *err);

/* The cuda backend of this installation, lib/libmspeckv_cuda.so beside the
 * program's bin/ and nowhere else, loaded at the first call. */
enum status device_load_cuda(struct device **out, int number, const struct device_options *opt,
                             struct err *err);

/* What the backend's shared object exports, under DEVICE_MODULE_ENTRY; a size or
 * number that differs means that program and backend are of different builds. */
struct device_module {
    uint32_t abi; /* DEVICE_MODULE_ABI */
    uint32_t device_bytes, backend_bytes, ops_bytes;
    enum status (*open)(struct device **out, int number, const struct device_options *opt,
                        struct err *err);
};
#define DEVICE_MODULE_ABI   1
#define DEVICE_MODULE_ENTRY "device_cuda_module"

#endif
