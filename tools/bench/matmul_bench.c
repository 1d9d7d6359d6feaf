#include "tools/bench/matmul_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "kernels/device.h"
#include "kernels/ops.h"

enum {
    BENCH_MAX_ROWS = 512,
    BENCH_TURNS = 3,
    /* Queued between two waits at least: as many launches as a CUDA segment has, so that
     * equal runs of products are replayed as they are in a model. */
    BENCH_QUEUE = 64
};

/* Weights pass through more memory than twice the largest cache of today's GPUs. */
static const double BENCH_COLD_BYTES = 256e6;

struct product {
    struct device *dev;
    struct matmul_args args;
    char *weights; /* n_copies of them; each product takes the next */
    size_t weight_bytes;
    int n_copies; /* a power of two */
    void *x, *out;
};

static void product_close(struct product *p)
{
    device_free(p->dev, p->weights);
    device_free(p->dev, p->x);
    device_free(p->dev, p->out);
}

/* Finite 16-bit weights around 0 that no arithmetic finds easy, and activations. */
static enum status fill(struct product *p, size_t n_x, struct err *err)
{
    uint16_t *w = mem_alloc(p->weight_bytes);
    float *x = mem_array(n_x, sizeof *x);
    uint32_t state = 1;
    enum status st = ST_OK;

    for (size_t i = 0; i < p->weight_bytes / sizeof *w; i++) {
        state = state * 1664525u + 1013904223u;
        /* Sign, mantissa and one bit of the exponent, below 1 in both types. */
        w[i] = (uint16_t)(state >> 16 & 0x83ffu) | 0x3800u;
    }
    for (size_t i = 0; i < n_x; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-23f - 1.0f;
    }
    for (int i = 0; i < p->n_copies && st == ST_OK; i++)
        st = device_upload(p->dev, p->weights + (size_t)i * p->weight_bytes, w, p->weight_bytes,
                           err);
    if (st == ST_OK)
        st = device_upload(p->dev, p->x, x, n_x * sizeof *x, err);
    free(x);
    free(w);
    return st;
}

static enum status product_open(struct product *p, struct device *dev, enum weight_type type,
                                size_t n_in, size_t n_out, struct err *err)
{
    enum status st;

    memset(p, 0, sizeof *p);
    p->dev = dev;
    p->weight_bytes = n_in * n_out * sizeof(uint16_t);
    for (p->n_copies = 2; (double)p->n_copies * (double)p->weight_bytes < BENCH_COLD_BYTES &&
                          p->n_copies < BENCH_QUEUE;)
        p->n_copies *= 2;
    st = device_alloc(dev, DEVICE_WEIGHTS, (size_t)p->n_copies * p->weight_bytes,
                      (void **)&p->weights, err);
    if (st == ST_OK)
        st = device_alloc(dev, DEVICE_SCRATCH, BENCH_MAX_ROWS * n_in * sizeof(float), &p->x, err);
    if (st == ST_OK)
        st =
            device_alloc(dev, DEVICE_SCRATCH, BENCH_MAX_ROWS * n_out * sizeof(float), &p->out, err);
    if (st == ST_OK)
        st = fill(p, BENCH_MAX_ROWS * n_in, err);
    p->args = (struct matmul_args){
        .out = p->out, .x = p->x, .type = type, .n_in = (int)n_in, .n_out = (int)n_out};
    if (st != ST_OK)
        product_close(p);
    return st;
}

/* Seconds of n products queued one after the other. */
static enum status time_queue(struct product *p, int n, double *seconds, struct err *err)
{
    enum status st = device_sync(p->dev, err);
    uint64_t start = clock_now_ns();

    for (int i = 0; i < n && st == ST_OK; i++) {
        p->args.w = p->weights + (size_t)(i % p->n_copies) * p->weight_bytes;
        st = device_ops(p->dev)->matmul(p->dev, &p->args, err);
    }
    if (st == ST_OK)
        st = device_sync(p->dev, err);
    *seconds = clock_seconds_since(start);
    return st;
}

/* Seconds of one product, from enough of them; the first turns also warm up. */
static enum status time_product(struct product *p, double min_seconds, double *out, struct err *err)
{
    int n = BENCH_QUEUE;
    double seconds = 0, best = INFINITY;
    enum status st = time_queue(p, 1, &seconds, err);

    if (seconds > min_seconds) /* a device so slow that one product is enough */
        n = 1;
    for (seconds = 0; st == ST_OK && n > 1 && seconds < min_seconds; n *= 2)
        st = time_queue(p, n, &seconds, err);
    for (int turn = 0; turn < BENCH_TURNS && st == ST_OK; turn++) {
        st = time_queue(p, n, &seconds, err);
        best = fmin(best, seconds / n);
    }
    *out = best;
    return st;
}

static enum status bench_rows(struct product *p, int n_rows, double read_gbps,
                              const struct matmul_bench *b, struct err *err)
{
    double seconds = 0, bytes = (double)p->weight_bytes;
    enum status st;

    p->args.n_rows = n_rows;
    st = time_product(p, (double)b->min_ms * 1e-3, &seconds, err);
    if (st != ST_OK)
        return st;
    printf("%-4s %7d %7d %5d %10.1f %8.0f %8.2f %9.1f\n",
           p->args.type == WEIGHT_BF16 ? "bf16" : "f16", p->args.n_in, p->args.n_out, n_rows,
           seconds * 1e6, bytes / seconds * 1e-9, bytes / seconds * 1e-9 / read_gbps,
           bytes * n_rows / seconds * 1e-12);
    fflush(stdout);
    return ST_OK;
}

static enum status bench_shape(const struct matmul_bench *b, struct device *dev, size_t n_in,
                               size_t n_out, double read_gbps, struct err *err)
{
    static const enum weight_type types[] = {WEIGHT_BF16, WEIGHT_F16};
    static const int rows[] = {1, 2, 4, 8, 9, 16, 17, 24, 32, 33, 64, BENCH_MAX_ROWS};
    enum status st = ST_OK;

    for (size_t t = 0; t < sizeof types / sizeof *types && st == ST_OK; t++) {
        struct product p;

        st = product_open(&p, dev, types[t], n_in, n_out, err);
        if (st != ST_OK)
            return err_in(err, st, "weights %zu -> %zu", n_in, n_out);
        if (b->n_rows > 0)
            st = bench_rows(&p, (int)b->n_rows, read_gbps, b, err);
        for (size_t r = 0; r < sizeof rows / sizeof *rows && b->n_rows == 0 && st == ST_OK; r++)
            st = bench_rows(&p, rows[r], read_gbps, b, err);
        product_close(&p);
    }
    return st;
}

enum status matmul_bench_run(const struct matmul_bench *b, struct err *err)
{
    static const size_t shapes[][2] = {{4096, 12288}, {4096, 4096},  {4096, 22016},
                                       {11008, 4096}, {4096, 32000}, {4096, 6144},
                                       {768, 2304},   {768, 768},    {768, 6144}};
    const struct device_options opt = {0};
    struct device *dev = NULL;
    double read_gbps = 0;
    enum status st = device_open(&dev, b->device, &opt, err);

    if (st == ST_OK)
        st = device_measure_read(dev, &read_gbps, err);
    if (st == ST_OK)
        printf("%s: %.1f GB/s read\n%-4s %7s %7s %5s %10s %8s %8s %9s\n", device_describe(dev),
               read_gbps, "type", "in", "out", "rows", "us", "GB/s", "of read", "TFLOP/s");
    if (b->n_in > 0 && st == ST_OK)
        st = bench_shape(b, dev, (size_t)b->n_in, (size_t)b->n_out, read_gbps, err);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes && b->n_in == 0 && st == ST_OK; i++)
        st = bench_shape(b, dev, shapes[i][0], shapes[i][1], read_gbps, err);
    device_close(dev);
    return st;
}
