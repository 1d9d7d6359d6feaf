#include "tools/bench/attention_device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/rng.h"
#include "kernels/device.h"
#include "kernels/ops.h"

enum {
    BENCH_MAX_ROWS = 33,
    BENCH_TURNS = 5,
    BENCH_QUEUE = 32 /* calls between two waits: all launches of a turn are one repeated graph */
};

/* Calls pass through more memory than twice the largest cache of today's GPUs. */
static const double BENCH_COLD_BYTES = 256e6;

/* Caches of equal content, one beside the other; each call takes the next. */
struct caches {
    struct device *dev;
    char *pages;
    size_t page_bytes;
    uint32_t n_pages; /* of a cache */
    int n_caches;
    const void **sealed; /* [n_caches * n_pages] */
    const void **tail;   /* [n_pages], all NULL */
    float *q, *out;
    enum kv_format format;
    struct kv_shape shape;
};

static void caches_close(struct caches *c)
{
    device_free(c->dev, c->pages);
    device_free(c->dev, c->q);
    device_free(c->dev, c->out);
    free(c->sealed);
    free(c->tail);
}

static float *random_floats(size_t n, uint64_t seed)
{
    float *x = mem_array(n, sizeof *x);

    for (size_t i = 0; i < n; i++)
        x[i] = (float)(rng_uniform(seed, RNG_TEST, i, 0) * 3.4 - 1.7);
    return x;
}

/* One page of random numbers, everywhere. */
static enum status fill(struct caches *c, size_t n_q, struct err *err)
{
    size_t n = (size_t)PAGE_TOKENS * c->shape.head_dim;
    float *k = random_floats(n, 1), *v = random_floats(n, 2), *q = random_floats(n_q, 3);
    char *page = mem_zalloc(c->page_bytes);
    enum status st = device_upload(c->dev, c->q, q, n_q * sizeof *q, err);

    for (uint32_t h = 0; h < c->shape.n_kv_heads; h++)
        kv_format_ops(c->format)->seal(page + h * kv_head_bytes(c->format, c->shape.head_dim),
                                       c->shape.head_dim, k, v);
    for (size_t p = 0; p < (size_t)c->n_caches * c->n_pages && st == ST_OK; p++) {
        c->sealed[p] = c->pages + p * c->page_bytes;
        st = device_upload(c->dev, c->pages + p * c->page_bytes, page, c->page_bytes, err);
    }
    free(page);
    free(q);
    free(v);
    free(k);
    return st;
}

static enum status caches_open(struct caches *c, struct device *dev,
                               const struct attention_device *b, int64_t n_tokens,
                               enum kv_format format, struct err *err)
{
    size_t n_q = (size_t)(BENCH_MAX_ROWS * b->n_heads * b->head_dim);
    double cache_bytes;
    enum status st;

    memset(c, 0, sizeof *c);
    c->dev = dev;
    c->format = format;
    c->shape = (struct kv_shape){(uint32_t)b->n_kv_heads, (uint32_t)b->head_dim};
    c->page_bytes = kv_page_bytes(format, c->shape);
    c->n_pages = (uint32_t)((n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS);
    cache_bytes = (double)c->page_bytes * c->n_pages;
    for (c->n_caches = 2;
         c->n_caches * cache_bytes < BENCH_COLD_BYTES && c->n_caches < BENCH_QUEUE;)
        c->n_caches *= 2;
    c->sealed = mem_array((size_t)c->n_caches * c->n_pages, sizeof *c->sealed);
    c->tail = mem_zalloc(c->n_pages * sizeof *c->tail);
    st = device_alloc(dev, DEVICE_KV_ON_CHIP, (size_t)c->n_caches * c->n_pages * c->page_bytes,
                      (void **)&c->pages, err);
    if (st == ST_OK)
        st = device_alloc(dev, DEVICE_SCRATCH, n_q * sizeof(float), (void **)&c->q, err);
    if (st == ST_OK)
        st = device_alloc(dev, DEVICE_SCRATCH, n_q * sizeof(float), (void **)&c->out, err);
    if (st == ST_OK)
        st = fill(c, n_q, err);
    if (st != ST_OK)
        caches_close(c);
    return st;
}

/* Seconds of `n` calls queued one after the other. */
static enum status time_calls(struct caches *c, struct attention_args *args, int n, double *seconds,
                              struct err *err)
{
    struct kv_view view = {c->shape, c->format, KV_F16, c->n_pages, c->sealed, c->tail};
    enum status st = device_sync(c->dev, err);
    uint64_t start = clock_now_ns();

    args->view = &view;
    for (int i = 0; i < n && st == ST_OK; i++) {
        view.sealed = c->sealed + (size_t)(i % c->n_caches) * c->n_pages;
        st = device_ops(c->dev)->attention(c->dev, args, err);
    }
    if (st == ST_OK)
        st = device_sync(c->dev, err);
    *seconds = clock_seconds_since(start) / n;
    return st;
}

static enum status bench_rows(struct caches *c, const struct attention_device *b, int64_t n_tokens,
                              int n_rows, double copy_gbps, struct err *err)
{
    uint32_t limit[BENCH_MAX_ROWS];
    struct attention_args args = {.out = c->out,
                                  .q = c->q,
                                  .limit = limit,
                                  .n_rows = n_rows,
                                  .n_heads = (int)b->n_heads,
                                  .scale = 1.0f / sqrtf((float)b->head_dim)};
    double best = INFINITY, seconds = 0, gbps = 0;
    enum status st = ST_OK;

    for (int r = 0; r < n_rows; r++)
        limit[r] = (uint32_t)(n_tokens - n_rows + 1 + r);
    for (int turn = 0; turn < BENCH_TURNS + 2 && st == ST_OK; turn++) {
        st = time_calls(c, &args, BENCH_QUEUE, &seconds, err);
        best = turn < 2 ? best : fmin(best, seconds); /* twice to warm up */
    }
    if (st != ST_OK)
        return st;
    gbps = (double)c->page_bytes * c->n_pages / best * 1e-9;
    printf("%-5s %7d %6d x %-4d %3d %5d %10.1f %8.0f %8.2f\n", kv_format_ops(c->format)->name,
           (int)n_tokens, (int)b->n_heads, (int)b->head_dim, (int)b->n_kv_heads, n_rows, best * 1e6,
           gbps, gbps / copy_gbps);
    fflush(stdout);
    return ST_OK;
}

static enum status bench_tokens(const struct attention_device *b, struct device *dev,
                                int64_t n_tokens, double copy_gbps, struct err *err)
{
    static const int rows[] = {1, 2, 4, 9, BENCH_MAX_ROWS};
    enum status st = ST_OK;

    for (enum kv_format f = KV_F16; f <= KV_INT4 && st == ST_OK; f++) {
        struct caches c;

        st = caches_open(&c, dev, b, n_tokens, f, err);
        if (st != ST_OK)
            return err_in(err, st, "caches of %d tokens", (int)n_tokens);
        if (b->n_rows > 0)
            st = bench_rows(&c, b, n_tokens, (int)b->n_rows, copy_gbps, err);
        for (size_t r = 0; r < sizeof rows / sizeof *rows && b->n_rows == 0 && st == ST_OK; r++)
            st = bench_rows(&c, b, n_tokens, rows[r], copy_gbps, err);
        caches_close(&c);
    }
    return st;
}

enum status attention_device_run(const struct attention_device *b, struct err *err)
{
    const struct device_options opt = {0};
    struct device *dev = NULL;
    double copy_gbps = 0;
    enum status st = device_open(&dev, b->device, &opt, err);

    if (st == ST_OK)
        st = device_measure_read(dev, &copy_gbps, err);
    if (st == ST_OK)
        printf("%s: %.1f GB/s\n%-5s %7s %6s   %-4s %3s %5s %10s %8s %8s\n", device_describe(dev),
               copy_gbps, "kv", "tokens", "heads", "dim", "kv", "rows", "us", "GB/s", "of it");
    if (st == ST_OK)
        st = bench_tokens(b, dev, b->n_tokens > 0 ? b->n_tokens : 32768, copy_gbps, err);
    if (st == ST_OK && b->n_tokens == 0)
        st = bench_tokens(b, dev, 4096, copy_gbps, err);
    device_close(dev);
    return st;
}
