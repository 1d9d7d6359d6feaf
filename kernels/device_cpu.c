#include "kernels/device_cpu.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "common/clock.h"
#include "common/mem.h"
#include "kernels/copy_queue.h"
#include "kernels/device_backend.h"
#include "kernels/device_cpu_ops.h"

#define ALIGN      ((size_t)64)
#define HUGE_BYTES ((size_t)2 << 20)

struct cpu_scratch {
    void *p;
    size_t size_bytes;
};

struct device_cpu {
    struct device base; /* first: a struct device * is a struct device_cpu * */
    struct pool *pool;
    struct copy_queue *queue;
    bool avx2;
    int n_threads;
    uint64_t stall_ns;           /* spent in copy_wait */
    struct cpu_scratch *scratch; /* [1 + n_threads]; the shared one first */
};

static struct device_cpu *cpu_of(const struct device *dev)
{
    return (struct device_cpu *)dev;
}

struct pool *device_cpu_pool(struct device *dev)
{
    return cpu_of(dev)->pool;
}

bool device_cpu_avx2(const struct device *dev)
{
    return cpu_of(dev)->avx2;
}

static void grow_scratch(struct cpu_scratch *s, size_t size_bytes)
{
    if (s->size_bytes >= size_bytes)
        return;
    free(s->p);
    s->p = mem_aligned(ALIGN, size_bytes);
    s->size_bytes = size_bytes;
}

void device_cpu_reserve(struct device *dev, size_t shared_bytes, size_t per_thread_bytes)
{
    struct device_cpu *cpu = cpu_of(dev);

    grow_scratch(&cpu->scratch[0], shared_bytes);
    for (int i = 0; i < cpu->n_threads; i++)
        grow_scratch(&cpu->scratch[1 + i], per_thread_bytes);
}

void *device_cpu_scratch(struct device *dev, int thread)
{
    struct device_cpu *cpu = cpu_of(dev);

    CHECK(thread >= -1 && thread < cpu->n_threads);
    return cpu->scratch[1 + thread].p;
}

static bool has_avx2(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;

    /* avx2 and fma are answered with the operating system's consent; f16c is
     * not known to every compiler by name, and needs no consent of its own. */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
#else
    return false;
#endif
}

static void cpu_close(struct device *dev)
{
    struct device_cpu *cpu = cpu_of(dev);

    copy_queue_close(cpu->queue);
    pool_close(cpu->pool);
    for (int i = 0; i <= cpu->n_threads; i++)
        free(cpu->scratch[i].p);
    free(cpu->scratch);
    free(cpu);
}

static bool cpu_reads_host(const struct device *dev)
{
    return dev->link_gbps == 0;
}

static bool cpu_shares_host(const struct device *dev)
{
    return true;
}

/* Another process maps the same file or segment and adopts it. */
static bool cpu_can_share(const struct device *dev)
{
    return false;
}

static enum status cpu_register_host(struct device *dev, void *host, size_t size_bytes,
                                     struct err *err)
{
    return ST_OK;
}

static void cpu_unregister_host(struct device *dev, void *host)
{
}

static enum status cpu_export(struct device *dev, const void *p, size_t size_bytes,
                              struct device_share *out, struct err *err)
{
    return err_set(err, ST_UNSUPPORTED, "cpu memory is shared by mapping it");
}

static enum status cpu_import(struct device *dev, const struct device_share *share, void **out,
                              size_t *size_bytes, struct err *err)
{
    return err_set(err, ST_UNSUPPORTED, "cpu memory is shared by mapping it");
}

static void cpu_drop_import(struct device *dev, const void *p)
{
}

/* Big blocks begin on a huge page and ask for huge pages: a layer of KV or
 * weights then costs few TLB entries. Fresh mappings are zero. */
static enum status map_huge(size_t size_bytes, void **out, struct err *err)
{
    size_t total = size_bytes + HUGE_BYTES;
    char *raw, *p;

    if (total < size_bytes)
        return err_set(err, ST_NO_SPACE, "more than the address space holds");
    raw = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
        return err_set(err, ST_NO_SPACE, "%s", strerror(errno));
    p = (char *)(((uintptr_t)raw + HUGE_BYTES - 1) & ~(uintptr_t)(HUGE_BYTES - 1));
    if (p > raw)
        munmap(raw, (size_t)(p - raw));
    munmap(p + size_bytes, total - size_bytes - (size_t)(p - raw));
    (void)madvise(p, size_bytes, MADV_HUGEPAGE); /* only speed is at stake */
    *out = p;
    return ST_OK;
}

static size_t page_round(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (n + page - 1) / page * page;
}

static enum status cpu_alloc(struct device *dev, size_t size_bytes, void **out, struct err *err)
{
    size_t rounded = (size_bytes + ALIGN - 1) / ALIGN * ALIGN;

    if (size_bytes > SIZE_MAX / 2)
        return err_set(err, ST_NO_SPACE, "more than the address space holds");
    if (size_bytes >= HUGE_BYTES)
        return map_huge(page_round(size_bytes), out, err);
    *out = aligned_alloc(ALIGN, rounded == 0 ? ALIGN : rounded);
    if (*out == NULL)
        return err_set(err, ST_NO_SPACE, "%s", strerror(ENOMEM));
    memset(*out, 0, rounded);
    return ST_OK;
}

static void cpu_free(struct device *dev, void *p, size_t size_bytes)
{
    if (size_bytes >= HUGE_BYTES)
        munmap(p, page_round(size_bytes));
    else
        free(p);
}

static enum status cpu_adopt(struct device *dev, const void *host, size_t size_bytes,
                             const void **out, struct err *err)
{
    *out = host;
    return ST_OK;
}

static void cpu_drop(struct device *dev, const void *p, size_t size_bytes)
{
}

static enum status cpu_transfer(struct device *dev, void *dst, const void *src, size_t n,
                                struct err *err)
{
    if (n > 0)
        memcpy(dst, src, n);
    return ST_OK;
}

/* Operations have run when their call returns. Copies go on: a caller that
 * waits for computing must not lose the overlap. */
static enum status cpu_sync(struct device *dev, struct err *err)
{
    return ST_OK;
}

static void cpu_quiesce(struct device *dev)
{
    copy_queue_wait_all(cpu_of(dev)->queue);
}

static enum status cpu_copy_start(struct device *dev, void *dst, const void *host, size_t n,
                                  uint64_t *ticket, struct err *err)
{
    *ticket = copy_queue_start(cpu_of(dev)->queue, dst, host, n);
    return ST_OK;
}

static enum status cpu_copy_wait(struct device *dev, uint64_t ticket, struct err *err)
{
    uint64_t start = clock_now_ns();

    copy_queue_wait(cpu_of(dev)->queue, ticket);
    cpu_of(dev)->stall_ns += clock_now_ns() - start;
    return ST_OK;
}

static bool cpu_copy_done(struct device *dev, uint64_t ticket)
{
    return copy_queue_is_done(cpu_of(dev)->queue, ticket);
}

static uint64_t cpu_copy_bytes(const struct device *dev)
{
    return copy_queue_bytes(cpu_of(dev)->queue);
}

static uint64_t cpu_copy_stall_ns(const struct device *dev)
{
    return cpu_of(dev)->stall_ns;
}

static enum status cpu_measure_link(struct device *dev, double *out_gbps, struct err *err)
{
    *out_gbps = dev->link_gbps;
    return ST_OK;
}

enum { READ_BYTES = 256 << 20, READ_TASK_BYTES = 4 << 20, READ_ROUNDS = 5 };

struct read_job {
    const uint64_t *buffer;
    uint64_t *sum; /* [tasks]: keeps the reads alive */
};

/* Eight places of the piece at once: one stream alone waits for the hardware
 * to look ahead. */
static void read_task(void *arg, int task, int thread)
{
    enum { STREAMS = 8, LINE = 8, STREAM = READ_TASK_BYTES / 8 / STREAMS };
    struct read_job *job = arg;
    const uint64_t *p = job->buffer + (size_t)task * STREAMS * STREAM;
    uint64_t sum[LINE] = {0};

    for (size_t i = 0; i < STREAM; i += LINE)
        for (size_t s = 0; s < STREAMS; s++)
            for (size_t j = 0; j < LINE; j++)
                sum[j] += p[s * STREAM + i + j];
    job->sum[task] = sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

static enum status cpu_measure_read(struct device *dev, double *out_gbps, struct err *err)
{
    enum { TASKS = READ_BYTES / READ_TASK_BYTES };
    uint64_t sum[TASKS];
    struct read_job job = {.sum = sum};
    double best = 0;
    void *buffer;
    enum status st = cpu_alloc(dev, READ_BYTES, &buffer, err);

    if (st != ST_OK)
        return st;
    memset(buffer, 1, READ_BYTES); /* else every page is the one zero page */
    job.buffer = buffer;
    for (int round = 0; round < READ_ROUNDS; round++) {
        uint64_t start = clock_now_ns();
        pool_run(cpu_of(dev)->pool, TASKS, read_task, &job);
        double gbps = READ_BYTES / (double)(clock_now_ns() - start);
        best = gbps > best ? gbps : best;
    }
    for (int i = 0; i < TASKS; i++)
        CHECK(sum[i] == (uint64_t)0x0101010101010101 * (READ_TASK_BYTES / 8));
    cpu_free(dev, buffer, READ_BYTES);
    *out_gbps = best;
    return ST_OK;
}

static const struct device_backend cpu_backend = {
    .close = cpu_close,
    .reads_host = cpu_reads_host,
    .shares_host = cpu_shares_host,
    .can_share = cpu_can_share,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .adopt = cpu_adopt,
    .drop = cpu_drop,
    .register_host = cpu_register_host,
    .unregister_host = cpu_unregister_host,
    .export_block = cpu_export,
    .import_block = cpu_import,
    .drop_import = cpu_drop_import,
    .upload = cpu_transfer,
    .download = cpu_transfer,
    .sync = cpu_sync,
    .quiesce = cpu_quiesce,
    .copy_start = cpu_copy_start,
    .copy_wait = cpu_copy_wait,
    .copy_done = cpu_copy_done,
    .copy_bytes = cpu_copy_bytes,
    .copy_stall_ns = cpu_copy_stall_ns,
    .measure_read = cpu_measure_read,
    .measure_link = cpu_measure_link,
};

static int allowed_cpus(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return CPU_COUNT(&set);
}

static void describe(struct device_cpu *cpu, int number)
{
    struct device *dev = &cpu->base;
    int n =
        snprintf(dev->describe, sizeof dev->describe, "cpu:%d (%d thread%s, %s", number,
                 cpu->n_threads, cpu->n_threads == 1 ? "" : "s", cpu->avx2 ? "avx2" : "portable");

    if (dev->link_gbps > 0)
        snprintf(dev->describe + n, sizeof dev->describe - (size_t)n, ", simulated link %.4g GB/s)",
                 dev->link_gbps);
    else
        snprintf(dev->describe + n, sizeof dev->describe - (size_t)n, ")");
}

enum status device_cpu_open(struct device **out, int number, const struct device_options *opt,
                            struct err *err)
{
    struct device_cpu *cpu = mem_zalloc(sizeof *cpu);
    enum status st;

    cpu->base.backend = &cpu_backend;
    cpu->base.ops = &device_cpu_ops;
    cpu->base.link_gbps = opt->link_gbps;
    cpu->base.numa_node = -1;
    cpu->n_threads = opt->n_threads > 0 ? opt->n_threads : allowed_cpus();
    cpu->avx2 = !opt->portable && has_avx2();
    cpu->scratch = mem_array((size_t)cpu->n_threads + 1, sizeof *cpu->scratch);
    describe(cpu, number);
    st = pool_open(&cpu->pool, cpu->n_threads, NULL, err);
    if (st == ST_OK)
        st = copy_queue_open(&cpu->queue, opt->link_gbps, err);
    if (st != ST_OK) {
        cpu_close(&cpu->base);
        return st;
    }
    *out = &cpu->base;
    return ST_OK;
}
