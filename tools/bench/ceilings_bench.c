#include "tools/bench/ceilings_bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "kernels/ops.h"

enum { SIDE = 4096, PRODUCTS = 10 };
static const size_t TRANSFER_BYTES = (size_t)512 << 20;

struct ceilings {
    double copy_gbps, to_device_gbps, from_device_gbps, product_tflops;
};

/* Downloads into registered memory; the device has nothing else to do. */
static enum status measure_from(struct device *dev, double *gbps, struct err *err)
{
    void *mem = NULL, *host = mem_aligned(4096, TRANSFER_BYTES);
    enum status st = device_register_host(dev, host, TRANSFER_BYTES, err);

    if (st != ST_OK) {
        free(host);
        return st;
    }
    st = device_alloc(dev, DEVICE_SCRATCH, TRANSFER_BYTES, &mem, err);
    for (int turn = 0; st == ST_OK && turn < 3; turn++) { /* the first one warms up */
        uint64_t begin = clock_now_ns();
        st = device_download(dev, host, mem, TRANSFER_BYTES, err);
        *gbps = (double)TRANSFER_BYTES / (double)(clock_now_ns() - begin);
    }
    device_free(dev, mem);
    device_unregister_host(dev, host);
    free(host);
    return st;
}

static enum status run_products(struct device *dev, const struct matmul_args *args, int n,
                                struct err *err)
{
    enum status st = ST_OK;

    for (int i = 0; st == ST_OK && i < n; i++)
        st = device_ops(dev)->matmul(dev, args, err);
    return st == ST_OK ? device_sync(dev, err) : st;
}

/* Halves of a pattern that repeats: exponents near one, all mantissa bits in use. */
static enum status fill(struct device *dev, void *mem, size_t n_bytes, struct err *err)
{
    uint16_t *half = mem_array(n_bytes / 2, sizeof *half);

    for (size_t i = 0; i < n_bytes / 2; i++)
        half[i] = (uint16_t)(0x3f00u ^ (i * 40503u >> 4 & 0x807fu));
    enum status st = device_upload(dev, mem, half, n_bytes, err);
    free(half);
    return st;
}

static enum status measure_products(struct device *dev, double *tflops, struct err *err)
{
    size_t n = (size_t)SIDE * SIDE;
    void *x = NULL, *w = NULL, *out = NULL;
    enum status st = device_alloc(dev, DEVICE_SCRATCH, n * sizeof(float), &x, err);

    if (st == ST_OK)
        st = device_alloc(dev, DEVICE_SCRATCH, n * 2, &w, err);
    if (st == ST_OK)
        st = device_alloc(dev, DEVICE_SCRATCH, n * sizeof(float), &out, err);
    if (st == ST_OK)
        st = fill(dev, x, n * sizeof(float), err);
    if (st == ST_OK)
        st = fill(dev, w, n * 2, err);
    if (st == ST_OK) {
        struct matmul_args args = {.out = out,
                                   .x = x,
                                   .w = w,
                                   .type = WEIGHT_BF16,
                                   .n_rows = SIDE,
                                   .n_in = SIDE,
                                   .n_out = SIDE};
        st = run_products(dev, &args, 2, err);
        uint64_t begin = clock_now_ns();
        if (st == ST_OK)
            st = run_products(dev, &args, PRODUCTS, err);
        *tflops = 2.0 * SIDE * SIDE * SIDE * PRODUCTS / (double)(clock_now_ns() - begin) * 1e-3;
    }
    device_free(dev, out);
    device_free(dev, w);
    device_free(dev, x);
    return st;
}

static void print_figure(const char *name, double value, const char *end)
{
    if (value > 0)
        printf("\"%s\": %.2f%s", name, value, end);
    else
        printf("\"%s\": null%s", name, end);
}

enum status ceilings_bench_run(const char *device, struct err *err)
{
    const struct device_options opt = {0};
    struct ceilings c = {0};
    struct device *dev = NULL;
    enum status st = device_open(&dev, device, &opt, err);

    if (st == ST_OK)
        st = device_measure_read(dev, &c.copy_gbps, err);
    if (st == ST_OK && !device_shares_host(dev)) {
        st = device_measure_link(dev, &c.to_device_gbps, err);
        if (st == ST_OK)
            st = measure_from(dev, &c.from_device_gbps, err);
    }
    if (st == ST_OK)
        st = measure_products(dev, &c.product_tflops, err);
    if (st == ST_OK) {
        printf("{\"device\": \"%s\", ", device_describe(dev));
        print_figure("copy_gbps", c.copy_gbps, ", ");
        print_figure("to_device_gbps", c.to_device_gbps, ", ");
        print_figure("from_device_gbps", c.from_device_gbps, ", ");
        print_figure("product_tflops", c.product_tflops, "}\n");
    }
    device_close(dev);
    return st;
}
