#include "model/rope_tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/kv_format.h"

/* Positions computed on the host and uploaded at a time: 4096 * 128 floats are 2 MiB. */
enum { UPLOAD_POSITIONS = 4096, MAX_HALF = KV_MAX_HEAD_DIM / 2 };

static void scale_default(const struct model_config *cfg, double *inv, uint32_t half)
{
}

static void scale_linear(const struct model_config *cfg, double *inv, uint32_t half)
{
    for (uint32_t i = 0; i < half; i++)
        inv[i] /= cfg->rope_factor;
}

/* By enum rope_kind. */
static void (*const scale_by_kind[])(const struct model_config *, double *, uint32_t) = {
    [ROPE_DEFAULT] = scale_default,
    [ROPE_LINEAR] = scale_linear,
};

void rope_tables_inv_freq(const struct model_config *cfg, float *inv_freq)
{
    uint32_t half = cfg->head_dim / 2;
    double inv[MAX_HALF];

    CHECK(half <= MAX_HALF);
    for (uint32_t i = 0; i < half; i++)
        inv[i] = pow(cfg->rope_theta, -2.0 * i / cfg->head_dim);
    scale_by_kind[cfg->rope](cfg, inv, half);
    for (uint32_t i = 0; i < half; i++)
        inv_freq[i] = (float)inv[i];
}

/* Rows pos0 .. pos0 + n_rows of both tables, in host memory. */
static void fill_rows(float *cos_rows, float *sin_rows, const float *inv_freq, uint32_t half,
                      uint32_t pos0, uint32_t n_rows)
{
    for (uint32_t r = 0; r < n_rows; r++) {
        for (uint32_t i = 0; i < half; i++) {
            float angle = (float)(pos0 + r) * inv_freq[i];
            cos_rows[(size_t)r * half + i] = (float)cos((double)angle);
            sin_rows[(size_t)r * half + i] = (float)sin((double)angle);
        }
    }
}

static enum status fill_tables(struct rope_tables *tables, struct device *dev,
                               const struct model_config *cfg, struct err *err)
{
    uint32_t half = cfg->head_dim / 2;
    size_t row_bytes = half * sizeof(float);
    float *rows = mem_array((size_t)2 * UPLOAD_POSITIONS * half, sizeof *rows);
    float *sin_rows = rows + (size_t)UPLOAD_POSITIONS * half;
    float inv_freq[MAX_HALF];
    enum status st = ST_OK;

    rope_tables_inv_freq(cfg, inv_freq);
    for (uint32_t at = 0; st == ST_OK && at < tables->n_positions; at += UPLOAD_POSITIONS) {
        uint32_t left = tables->n_positions - at;
        uint32_t n = left < UPLOAD_POSITIONS ? left : UPLOAD_POSITIONS;
        fill_rows(rows, sin_rows, inv_freq, half, at, n);
        st = device_upload(dev, tables->cos + (size_t)at * half, rows, n * row_bytes, err);
        if (st == ST_OK)
            st = device_upload(dev, tables->sin + (size_t)at * half, sin_rows, n * row_bytes, err);
    }
    free(rows);
    return st;
}

static enum status build(struct rope_tables *out, struct device *dev,
                         const struct model_config *cfg, uint32_t n_positions, struct err *err)
{
    size_t size_bytes = (size_t)n_positions * (cfg->head_dim / 2) * sizeof(float);
    struct rope_tables tables = {.n_positions = n_positions};
    enum status st = device_alloc(dev, DEVICE_SCRATCH, size_bytes, (void **)&tables.cos, err);

    if (st == ST_OK)
        st = device_alloc(dev, DEVICE_SCRATCH, size_bytes, (void **)&tables.sin, err);
    if (st == ST_OK)
        st = fill_tables(&tables, dev, cfg, err);
    if (st == ST_OK)
        *out = tables;
    else
        rope_tables_release(&tables, dev);
    return st;
}

enum status rope_tables_grow(struct rope_tables *tables, struct device *dev,
                             const struct model_config *cfg, uint32_t n_positions, struct err *err)
{
    struct rope_tables larger = {0};
    enum status st;

    if (n_positions > ROPE_TABLES_MAX_POSITIONS)
        return err_set(err, ST_INVALID, "%u positions, at most %d are supported", n_positions,
                       ROPE_TABLES_MAX_POSITIONS);
    if (n_positions == 0)
        n_positions = 1;
    if (n_positions <= tables->n_positions)
        return ST_OK;
    st = build(&larger, dev, cfg, n_positions, err);
    if (st == ST_OK) /* queued operations may still read the old tables */
        st = device_sync(dev, err);
    if (st != ST_OK) {
        rope_tables_release(&larger, dev);
        return err_in(err, st, "cosine and sine tables of %u positions", n_positions);
    }
    rope_tables_release(tables, dev);
    *tables = larger;
    return ST_OK;
}

void rope_tables_release(struct rope_tables *tables, struct device *dev)
{
    device_free(dev, tables->cos);
    device_free(dev, tables->sin);
    memset(tables, 0, sizeof *tables);
}
