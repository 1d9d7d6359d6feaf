#include "verify_worker/compute_rate.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "kernels/ops.h"

/* A product of side n is [n / 4, n] by [n, n]. 4096 keeps an H200 busy. */
enum { FIRST_SIDE = 64, LAST_SIDE = 4096, TURNS = 3, LONG_NS = 2000000 };

/* [n] numbers near one whose low bits differ: a GPU multiplies zeros faster. */
static enum status fill(struct device *dev, void *to, size_t n_halves, struct err *err)
{
    uint16_t *half = mem_array(n_halves, sizeof *half);
    enum status st;

    for (size_t i = 0; i < n_halves; i++)
        half[i] = (uint16_t)(0x3f80u + (i * 29u & 0x3fu));
    st = device_upload(dev, to, half, n_halves * sizeof *half, err);
    free(half);
    return st;
}

/* The shortest of a few turns; one that is long needs no other. */
static enum status time_product(struct device *dev, const struct matmul_args *args, uint64_t *best,
                                struct err *err)
{
    enum status st = device_sync(dev, err);

    *best = UINT64_MAX;
    for (int turn = 0; st == ST_OK && turn < TURNS; turn++) {
        uint64_t begin = clock_now_ns(), took;
        st = device_ops(dev)->matmul(dev, args, err);
        if (st == ST_OK)
            st = device_sync(dev, err);
        took = clock_now_ns() - begin;
        *best = took < *best ? took : *best;
        if (took > 10 * (uint64_t)LONG_NS)
            break;
    }
    return st;
}

static enum status one_size(struct device *dev, int side, double *gflops, uint64_t *took,
                            struct err *err)
{
    size_t n_x = (size_t)side * (size_t)side / 4, n_w = (size_t)side * (size_t)side;
    struct matmul_args args = {
        .type = WEIGHT_BF16, .n_rows = side / 4, .n_in = side, .n_out = side};
    void *x = NULL, *w = NULL, *out = NULL;
    enum status st = device_alloc(dev, DEVICE_SCRATCH, n_x * sizeof(float), &x, err);

    if (st == ST_OK)
        st = device_alloc(dev, DEVICE_SCRATCH, n_w * 2, &w, err);
    if (st == ST_OK)
        st = device_alloc(dev, DEVICE_SCRATCH, n_x * sizeof(float), &out, err);
    if (st == ST_OK)
        st = fill(dev, x, 2 * n_x, err);
    if (st == ST_OK)
        st = fill(dev, w, n_w, err);
    args.x = x;
    args.w = w;
    args.out = out;
    if (st == ST_OK)
        st = time_product(dev, &args, took, err);
    if (st == ST_OK)
        *gflops = 2.0 * (double)n_x * side / (double)*took;
    device_free(dev, out);
    device_free(dev, w);
    device_free(dev, x);
    return st;
}

enum status compute_rate_measure(struct device *dev, double *out_gflops, struct err *err)
{
    double best = 0, gflops = 0;
    enum status st = ST_OK;
    uint64_t took = 0;

    for (int side = FIRST_SIDE; st == ST_OK && side <= LAST_SIDE && took < LONG_NS; side *= 2) {
        st = one_size(dev, side, &gflops, &took, err);
        best = fmax(best, gflops);
    }
    if (st != ST_OK)
        return err_in(err, st, "measuring products");
    *out_gflops = best;
    return ST_OK;
}
