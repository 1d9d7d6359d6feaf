#include "tools/bench/attention_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/pool.h"
#include "common/rng.h"
#include "common/stats.h"
#include "kernels/device.h"
#include "kernels/ops.h"

enum {
    BENCH_PAGES = 8, /* distinct pages; the cache repeats them */
    BENCH_READ_BYTES = 1 << 20,
    BENCH_PREFILL_ROWS = 512,
    BENCH_PREFILL_BEFORE = 3584,
    BENCH_PREFILL_HEADS = 16,
    BENCH_PREFILL_TURNS = 5
};

struct cache {
    struct device *dev;
    struct pool *readers; /* of the plain read; as many threads as the device has */
    void *bytes;
    size_t size_bytes;
    const void **sealed, **tail;
    struct kv_view view;
    float *q, *out;
    uint32_t *limit;
    uint64_t check; /* keeps the plain read from being optimised away */
};

static void cache_close(struct cache *c)
{
    if (c->dev != NULL) {
        device_free(c->dev, c->bytes);
        device_free(c->dev, c->q);
        device_free(c->dev, c->out);
    }
    device_close(c->dev);
    pool_close(c->readers);
    free(c->sealed);
    free(c->tail);
    free(c->limit);
}

static void fill_page(void *page, enum kv_format format, struct kv_shape shape, uint64_t seed)
{
    size_t n = (size_t)PAGE_TOKENS * shape.head_dim;
    float *k = mem_array(n, sizeof *k), *v = mem_array(n, sizeof *v);

    for (size_t i = 0; i < n; i++) {
        k[i] = (float)(rng_uniform(seed, RNG_TEST, i, 0) * 3.4 - 1.7);
        v[i] = (float)(rng_uniform(seed, RNG_TEST, i, 1) * 3.4 - 1.7);
    }
    for (uint32_t h = 0; h < shape.n_kv_heads; h++)
        kv_format_ops(format)->seal((char *)page + h * kv_head_bytes(format, shape.head_dim),
                                    shape.head_dim, k, v);
    free(k);
    free(v);
}

static void fill_pages(struct cache *c, enum kv_format format)
{
    struct kv_shape shape = c->view.shape;
    size_t page_bytes = kv_page_bytes(format, shape);

    for (uint32_t p = 0; p < c->view.n_pages; p++) {
        char *page = (char *)c->bytes + p * page_bytes;
        c->sealed[p] = page;
        if (p < BENCH_PAGES)
            fill_page(page, format, shape, p);
        else
            memcpy(page, (char *)c->bytes + p % BENCH_PAGES * page_bytes, page_bytes);
    }
}

static enum status cache_open(struct cache *c, const struct attention_bench *b,
                              enum kv_format format, struct err *err)
{
    struct device_options opt = {.n_threads = (int)b->n_threads};
    struct kv_shape shape = {(uint32_t)b->n_heads, (uint32_t)b->head_dim};
    uint32_t n_pages = (uint32_t)((b->n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS);
    size_t n_q = (size_t)(b->n_rows * b->n_heads * b->head_dim), q_bytes = n_q * sizeof(float);
    enum status st;

    memset(c, 0, sizeof *c);
    c->size_bytes = n_pages * kv_page_bytes(format, shape);
    c->sealed = mem_array(n_pages, sizeof *c->sealed);
    c->tail = mem_array(n_pages, sizeof *c->tail);
    c->limit = mem_array((size_t)b->n_rows, sizeof *c->limit);
    c->view = (struct kv_view){shape, format, KV_F16, n_pages, c->sealed, c->tail};
    st = device_open(&c->dev, "cpu:0", &opt, err);
    if (st == ST_OK)
        st = pool_open(&c->readers, (int)b->n_threads, NULL, err);
    if (st == ST_OK)
        st = device_alloc(c->dev, DEVICE_KV_ON_CHIP, c->size_bytes, &c->bytes, err);
    if (st == ST_OK)
        st = device_alloc(c->dev, DEVICE_SCRATCH, q_bytes, (void **)&c->q, err);
    if (st == ST_OK)
        st = device_alloc(c->dev, DEVICE_SCRATCH, q_bytes, (void **)&c->out, err);
    if (st != ST_OK) {
        cache_close(c);
        return err_in(err, st, "a cache of %zu MB", c->size_bytes / 1000000);
    }
    fill_pages(c, format);
    for (size_t i = 0; i < n_q; i++)
        c->q[i] = (float)(rng_uniform(1, RNG_TEST, i, 2) * 3.4 - 1.7);
    for (int64_t r = 0; r < b->n_rows; r++)
        c->limit[r] = (uint32_t)(b->n_tokens - (b->n_rows - 1) + r);
    return ST_OK;
}

/* Adds the 64-bit words of one piece; independent chains, so that loads bound it. */
static void read_piece(void *arg, int task, int thread)
{
    struct cache *c = arg;
    size_t at = (size_t)task * BENCH_READ_BYTES, end = at + BENCH_READ_BYTES;
    uint64_t sum[8] = {0};

    end = end < c->size_bytes ? end : c->size_bytes;
    for (; at + sizeof sum <= end; at += sizeof sum) {
        const uint64_t *x = (const uint64_t *)((const char *)c->bytes + at);
        for (int i = 0; i < 8; i++)
            sum[i] += x[i];
    }
    for (int i = 1; i < 8; i++)
        sum[0] += sum[i];
    __atomic_fetch_add(&c->check, sum[0], __ATOMIC_RELAXED);
}

static double time_read(struct cache *c)
{
    int n = (int)((c->size_bytes + BENCH_READ_BYTES - 1) / BENCH_READ_BYTES);
    uint64_t start = clock_now_ns();

    pool_run(c->readers, n, read_piece, c);
    return clock_seconds_since(start) * 1e6;
}

static enum status time_kernel(struct cache *c, int n_rows, double *out_us, struct err *err)
{
    struct attention_args a = {.out = c->out,
                               .q = c->q,
                               .limit = c->limit,
                               .n_rows = n_rows,
                               .n_heads = (int)c->view.shape.n_kv_heads,
                               .scale = 1.0f / sqrtf((float)c->view.shape.head_dim),
                               .view = &c->view};
    uint64_t start = clock_now_ns();
    enum status st = device_ops(c->dev)->attention(c->dev, &a, err);

    if (st == ST_OK)
        st = device_sync(c->dev, err);
    *out_us = clock_seconds_since(start) * 1e6;
    return st;
}

/* One line: read and kernel in turn, n_repeats times after one of each. */
static enum status measure(struct cache *c, const struct attention_bench *b, int n_rows,
                           enum kv_format format, struct err *err)
{
    double *read_us = mem_array((size_t)b->n_repeats, sizeof *read_us);
    double *kernel_us = mem_array((size_t)b->n_repeats, sizeof *kernel_us);
    enum status st = ST_OK;

    for (int64_t i = -1; i < b->n_repeats && st == ST_OK; i++) {
        double read = time_read(c), kernel = 0.0;
        st = time_kernel(c, n_rows, &kernel, err);
        if (i >= 0) {
            read_us[i] = read;
            kernel_us[i] = kernel;
        }
    }
    if (st == ST_OK) {
        double read = stats_median(read_us, (size_t)b->n_repeats);
        double kernel = stats_median(kernel_us, (size_t)b->n_repeats);
        printf("%-8s %5d %9.1f %10.0f %10.0f %7.2f\n", kv_format_ops(format)->name, n_rows,
               (double)c->size_bytes / 1e6, read, kernel, read / kernel);
        fflush(stdout);
    }
    free(read_us);
    free(kernel_us);
    return st;
}

static void print_head(const struct attention_bench *b, const struct device *dev)
{
    printf("attention over %d tokens x %d KV heads x %d on %s\n", (int)b->n_tokens, (int)b->n_heads,
           (int)b->head_dim, device_describe(dev));
    printf("medians of %d turns: a plain read of the same bytes by as many threads,\n"
           "then the kernel; ratio = read / kernel\n\n",
           (int)b->n_repeats);
    printf("%-8s %5s %9s %10s %10s %7s\n", "format", "rows", "MB", "read us", "kernel us", "ratio");
}

static enum status bench_format(const struct attention_bench *b, enum kv_format format,
                                bool is_first, struct err *err)
{
    struct cache c;
    enum status st = cache_open(&c, b, format, err);

    if (st != ST_OK)
        return st;
    if (is_first)
        print_head(b, c.dev);
    st = measure(&c, b, 1, format, err);
    if (st == ST_OK && b->n_rows > 1)
        st = measure(&c, b, (int)b->n_rows, format, err);
    cache_close(&c);
    return st;
}

/* A prompt's chunk: 512 rows, each of which sees all before it, f16 pages. Two
 * products of 2 * head_dim operations per visible token. */
static enum status bench_prefill(const struct attention_bench *b, int64_t head_dim, struct err *err)
{
    struct attention_bench prefill = *b;
    struct cache c;
    double us[BENCH_PREFILL_TURNS], tokens = 0.0;

    prefill.n_rows = BENCH_PREFILL_ROWS;
    prefill.n_tokens = BENCH_PREFILL_BEFORE + BENCH_PREFILL_ROWS;
    prefill.n_heads = BENCH_PREFILL_HEADS;
    prefill.head_dim = head_dim;
    enum status st = cache_open(&c, &prefill, KV_F16, err);
    if (st != ST_OK)
        return st;
    for (int i = -1; i < BENCH_PREFILL_TURNS && st == ST_OK; i++)
        st = time_kernel(&c, BENCH_PREFILL_ROWS, &us[i < 0 ? 0 : i], err);
    for (int r = 0; r < BENCH_PREFILL_ROWS; r++)
        tokens += c.limit[r];
    if (st == ST_OK) {
        double median = stats_median(us, BENCH_PREFILL_TURNS);
        double gflops = tokens * BENCH_PREFILL_HEADS * 4.0 * (double)head_dim / median / 1e3;
        printf("%-8d %5d %9d %10.0f %10.1f\n", (int)head_dim, BENCH_PREFILL_ROWS,
               BENCH_PREFILL_BEFORE, median, gflops);
        fflush(stdout);
    }
    cache_close(&c);
    return st;
}

enum status attention_bench_run(const struct attention_bench *b, struct err *err)
{
    static const enum kv_format formats[] = {KV_F16, KV_INT8, KV_INT4};
    enum status st = ST_OK;

    for (size_t i = 0; i < sizeof formats / sizeof *formats && st == ST_OK; i++)
        st = bench_format(b, formats[i], i == 0, err);
    if (st != ST_OK || !b->prefill)
        return st;
    printf("\nprefill, f16 pages, %d heads\n%-8s %5s %9s %10s %10s\n", BENCH_PREFILL_HEADS,
           "head_dim", "rows", "before", "us", "GFLOP/s");
    st = bench_prefill(b, 64, err);
    if (st == ST_OK)
        st = bench_prefill(b, 128, err);
    return st;
}
