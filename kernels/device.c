#include "kernels/device.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/trace.h"
#include "kernels/device_backend.h"

enum { MAX_NUMBER = 255, MAX_THREADS = 1024 };

static const char *const use_name[DEVICE_USE_COUNT] = {
    [DEVICE_WEIGHTS] = "weights",           [DEVICE_KV_ON_CHIP] = "kv_on_chip",
    [DEVICE_KV_RESIDENT] = "kv_resident",   [DEVICE_KV_TAIL] = "kv_tail",
    [DEVICE_KV_RETRIEVAL] = "kv_retrieval", [DEVICE_KV_STAGING] = "kv_staging",
    [DEVICE_KV_DRAFT] = "kv_draft",         [DEVICE_SCRATCH] = "scratch",
};

/* True if name is "prefix:N" with N in [0, MAX_NUMBER]. */
static bool parse_name(const char *name, const char *prefix, int *number)
{
    size_t n_prefix = strlen(prefix);
    const char *digit;
    int value = 0;

    if (strncmp(name, prefix, n_prefix) != 0 || name[n_prefix] != ':')
        return false;
    digit = name + n_prefix + 1;
    if (*digit == '\0' || strlen(digit) > 3)
        return false;
    for (; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        value = value * 10 + (*digit - '0');
    }
    *number = value;
    return value <= MAX_NUMBER;
}

static enum status check_options(const struct device_options *opt, struct err *err)
{
    if (opt->n_threads < 0 || opt->n_threads > MAX_THREADS)
        return err_set(err, ST_INVALID, "%d compute threads: must be 0 (all CPUs) to %d",
                       opt->n_threads, MAX_THREADS);
    if (!(opt->link_gbps >= 0) || isinf(opt->link_gbps))
        return err_set(err, ST_INVALID, "a link of %g GB/s: must be 0 (no link) or positive",
                       opt->link_gbps);
    return ST_OK;
}

void device_range_push(struct device *dev, const char *name)
{
    if (dev->backend->range_push != NULL)
        dev->backend->range_push(dev, name);
}

void device_range_pop(struct device *dev)
{
    if (dev->backend->range_pop != NULL)
        dev->backend->range_pop(dev);
}

static void on_begin(void *self, const char *name)
{
    device_range_push(self, name);
}

static void on_end(void *self)
{
    device_range_pop(self);
}

enum status device_open(struct device **out, const char *name, const struct device_options *opt,
                        struct err *err)
{
    enum status st;
    int number;

    st = check_options(opt, err);
    if (st == ST_OK && parse_name(name, "cpu", &number))
        st = device_cpu_open(out, number, opt, err);
    else if (st == ST_OK && parse_name(name, "cuda", &number))
        st = device_load_cuda(out, number, opt, err);
    else if (st == ST_OK)
        st = err_set(err, ST_NOT_FOUND,
                     "not a device name; they are cpu:N and cuda:N, such as cpu:0");
    if (st != ST_OK)
        return err_in(err, st, "device %s", name);
    if ((*out)->backend->range_push != NULL)
        trace_watch(on_begin, on_end, *out);
    return ST_OK;
}

static void release_block(struct device *dev, size_t i)
{
    struct device_block b = dev->block[i];

    dev->used[b.use] -= b.size_bytes;
    dev->block[i] = dev->block[--dev->n_blocks];
    if (b.origin == DEVICE_ADOPTED)
        dev->backend->drop(dev, b.p, b.size_bytes);
    else if (b.origin == DEVICE_IMPORTED)
        dev->backend->drop_import(dev, b.p);
    else
        dev->backend->free(dev, (void *)b.p, b.size_bytes);
}

/* What is still there was forgotten by somebody: said once per use, then given
 * back. */
static void release_leaks(struct device *dev)
{
    for (int use = 0; use < DEVICE_USE_COUNT; use++)
        if (dev->used[use] != 0)
            log_warn(LOG_KV, "device closes with memory in use device=\"%s\" use=%s bytes=%zu",
                     dev->describe, use_name[use], dev->used[use]);
    while (dev->n_blocks > 0)
        release_block(dev, dev->n_blocks - 1);
    free(dev->block);
    dev->block = NULL;
}

void device_close(struct device *dev)
{
    if (dev == NULL)
        return;
    if (dev->backend->range_push != NULL)
        trace_watch(NULL, NULL, NULL);
    /* Copies in flight read and write blocks. */
    dev->backend->quiesce(dev);
    release_leaks(dev);
    dev->backend->close(dev);
}

const char *device_describe(const struct device *dev)
{
    return dev->describe;
}

bool device_reads_host(const struct device *dev)
{
    return dev->backend->reads_host(dev);
}

bool device_shares_host(const struct device *dev)
{
    return dev->backend->shares_host(dev);
}

bool device_can_share(const struct device *dev)
{
    return dev->backend->can_share(dev);
}

int device_numa_node(const struct device *dev)
{
    return dev->numa_node;
}

double device_link_gbps(const struct device *dev)
{
    return dev->link_gbps;
}

static void add_block(struct device *dev, struct device_block block)
{
    if (dev->n_blocks == dev->cap_blocks) {
        dev->cap_blocks = dev->cap_blocks == 0 ? 64 : dev->cap_blocks * 2;
        dev->block = mem_resize(dev->block, dev->cap_blocks, sizeof *dev->block);
    }
    dev->block[dev->n_blocks++] = block;
    dev->used[block.use] += block.size_bytes;
}

enum status device_alloc(struct device *dev, enum device_use use, size_t size_bytes, void **out,
                         struct err *err)
{
    enum status st;

    CHECK((unsigned)use < DEVICE_USE_COUNT);
    st = dev->backend->alloc(dev, size_bytes, out, err);
    if (st != ST_OK)
        return err_in(err, st, "%s: %zu bytes for %s", dev->describe, size_bytes, use_name[use]);
    add_block(dev, (struct device_block){.p = *out, .size_bytes = size_bytes, .use = use});
    return ST_OK;
}

/* Newest first: memory is mostly given back in reverse order. */
static void release_pointer(struct device *dev, const void *p, bool is_allocated)
{
    size_t i = dev->n_blocks;

    while (i > 0 && !(dev->block[i - 1].p == p &&
                      (dev->block[i - 1].origin == DEVICE_ALLOCATED) == is_allocated))
        i--;
    CHECK(i > 0); /* not of this device, or given back twice */
    release_block(dev, i - 1);
}

void device_free(struct device *dev, void *p)
{
    if (p != NULL)
        release_pointer(dev, p, true);
}

size_t device_used(const struct device *dev, enum device_use use)
{
    CHECK((unsigned)use < DEVICE_USE_COUNT);
    return dev->used[use];
}

enum status device_adopt(struct device *dev, enum device_use use, const void *host,
                         size_t size_bytes, const void **out, struct err *err)
{
    enum status st;

    CHECK((unsigned)use < DEVICE_USE_COUNT);
    st = dev->backend->adopt(dev, host, size_bytes, out, err);
    if (st != ST_OK)
        return err_in(err, st, "%s: adopting %zu bytes for %s", dev->describe, size_bytes,
                      use_name[use]);
    add_block(dev, (struct device_block){
                       .p = *out, .size_bytes = size_bytes, .use = use, .origin = DEVICE_ADOPTED});
    return ST_OK;
}

void device_drop(struct device *dev, const void *p)
{
    if (p != NULL)
        release_pointer(dev, p, false);
}

enum status device_register_host(struct device *dev, void *host, size_t size_bytes, struct err *err)
{
    enum status st = dev->backend->register_host(dev, host, size_bytes, err);

    if (st != ST_OK)
        return err_in(err, st, "%s: registering %zu bytes of host memory", dev->describe,
                      size_bytes);
    return ST_OK;
}

void device_unregister_host(struct device *dev, void *host)
{
    if (host != NULL)
        dev->backend->unregister_host(dev, host);
}

static const struct device_block *find_block(const struct device *dev, const void *p)
{
    for (size_t i = dev->n_blocks; i > 0; i--)
        if (dev->block[i - 1].p == p && dev->block[i - 1].origin != DEVICE_IMPORTED)
            return &dev->block[i - 1];
    return NULL;
}

enum status device_export(struct device *dev, const void *p, struct device_share *out,
                          struct err *err)
{
    const struct device_block *block = find_block(dev, p);
    enum status st;

    CHECK(block != NULL); /* not the start of a block of this device */
    st = dev->backend->export_block(dev, p, block->size_bytes, out, err);
    if (st != ST_OK)
        return err_in(err, st, "%s: sharing %s memory", dev->describe, use_name[block->use]);
    return ST_OK;
}

enum status device_import(struct device *dev, enum device_use use, const struct device_share *share,
                          void **out, struct err *err)
{
    size_t size_bytes = 0;
    enum status st;

    CHECK((unsigned)use < DEVICE_USE_COUNT);
    st = dev->backend->import_block(dev, share, out, &size_bytes, err);
    if (st != ST_OK)
        return err_in(err, st, "%s: opening shared %s memory", dev->describe, use_name[use]);
    add_block(dev, (struct device_block){
                       .p = *out, .size_bytes = size_bytes, .use = use, .origin = DEVICE_IMPORTED});
    return ST_OK;
}

enum status device_upload(struct device *dev, void *dst, const void *host, size_t n,
                          struct err *err)
{
    return dev->backend->upload(dev, dst, host, n, err);
}

enum status device_download(struct device *dev, void *host, const void *src, size_t n,
                            struct err *err)
{
    return dev->backend->download(dev, host, src, n, err);
}

enum status device_sync(struct device *dev, struct err *err)
{
    return dev->backend->sync(dev, err);
}

enum status device_copy_start(struct device *dev, void *dst, const void *host, size_t n,
                              uint64_t *ticket, struct err *err)
{
    return dev->backend->copy_start(dev, dst, host, n, ticket, err);
}

enum status device_copy_wait(struct device *dev, uint64_t ticket, struct err *err)
{
    return dev->backend->copy_wait(dev, ticket, err);
}

bool device_copy_done(struct device *dev, uint64_t ticket)
{
    return dev->backend->copy_done(dev, ticket);
}

uint64_t device_copy_bytes(const struct device *dev)
{
    return dev->backend->copy_bytes(dev);
}

uint64_t device_copy_stall_ns(const struct device *dev)
{
    return dev->backend->copy_stall_ns(dev);
}

enum status device_measure_read(struct device *dev, double *out_gbps, struct err *err)
{
    enum status st = dev->backend->measure_read(dev, out_gbps, err);

    if (st != ST_OK)
        return err_in(err, st, "%s: measuring memory bandwidth", dev->describe);
    return ST_OK;
}

enum status device_measure_link(struct device *dev, double *out_gbps, struct err *err)
{
    enum status st = dev->backend->measure_link(dev, out_gbps, err);

    if (st != ST_OK)
        return err_in(err, st, "%s: measuring the link", dev->describe);
    return ST_OK;
}

const struct device_ops *device_ops(struct device *dev)
{
    return dev->ops;
}
