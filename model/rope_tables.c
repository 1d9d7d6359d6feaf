#include "model/rope_tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/kv_format.h"

/* Positions computed on the host and uploaded at a time: 4096 * 128 floats are 2 MiB. */
/* Tables grow by whole GROW_POSITIONS: a trial a little longer than the one before must not build
 * tens of thousands of rows anew while it is timed. */
enum { UPLOAD_POSITIONS = 4096, GROW_POSITIONS = 1024, MAX_HALF = KV_MAX_HEAD_DIM / 2 };

static const double PI = 3.14159265358979323846;

static void scale_none(const struct rope_config *rope, uint32_t head_dim, const float *power,
                       float *inv)
{
}

static void scale_linear(const struct rope_config *rope, uint32_t head_dim, const float *power,
                         float *inv)
{
    for (uint32_t i = 0; i < head_dim / 2; i++)
        inv[i] /= (float)rope->factor;
}

/* The dimension pair, not rounded, that makes `rotations` turns over the original length. */
static double yarn_dim(const struct rope_config *rope, uint32_t head_dim, double rotations)
{
    return head_dim * log(rope->original / (rotations * 2 * PI)) / (2 * log(rope->theta));
}

static void scale_yarn(const struct rope_config *rope, uint32_t head_dim, const float *power,
                       float *inv)
{
    double low = yarn_dim(rope, head_dim, rope->beta_fast);
    double high = yarn_dim(rope, head_dim, rope->beta_slow);

    low = fmax(rope->truncate ? floor(low) : low, 0.0);
    high = fmin(rope->truncate ? ceil(high) : high, head_dim - 1.0);
    if (low == high)
        high += 0.001; /* a step instead of a ramp */
    for (uint32_t i = 0; i < head_dim / 2; i++) {
        float ramp = ((float)i - (float)low) / (float)(high - low);
        float keep = 1.0f - fminf(fmaxf(ramp, 0.0f), 1.0f);
        float slow = 1.0f / ((float)rope->factor * power[i]);
        inv[i] = slow * (1.0f - keep) + inv[i] * keep;
    }
}

static void scale_llama3(const struct rope_config *rope, uint32_t head_dim, const float *power,
                         float *inv)
{
    float low = (float)rope->low_freq, factor = (float)rope->factor;
    float longest = (float)(rope->original / rope->low_freq);
    float shortest = (float)(rope->original / rope->high_freq);

    for (uint32_t i = 0; i < head_dim / 2; i++) {
        float wavelength = 1.0f / inv[i] * (float)(2 * PI);
        float s = (1.0f / wavelength * (float)rope->original - low) /
                  (float)(rope->high_freq - rope->low_freq);
        if (wavelength > longest)
            inv[i] /= factor;
        else if (wavelength >= shortest)
            inv[i] = (1.0f - s) * inv[i] / factor + s * inv[i];
    }
}

/* By enum rope_kind. */
static void (*const scale_by_kind[])(const struct rope_config *, uint32_t, const float *,
                                     float *) = {
    [ROPE_DEFAULT] = scale_none, [ROPE_LINEAR] = scale_linear, [ROPE_DYNAMIC] = scale_none,
    [ROPE_YARN] = scale_yarn,    [ROPE_LLAMA3] = scale_llama3,
};

void rope_tables_inv_freq(const struct model_config *cfg, float *inv_freq)
{
    uint32_t half = cfg->head_dim / 2;
    float power[MAX_HALF];

    CHECK(half <= MAX_HALF);
    for (uint32_t i = 0; i < half; i++) {
        float exponent = (float)(2 * i) / (float)cfg->head_dim;
        power[i] = (float)pow((double)(float)cfg->rope.theta, (double)exponent);
        inv_freq[i] = 1.0f / power[i];
    }
    scale_by_kind[cfg->rope.kind](&cfg->rope, cfg->head_dim, power, inv_freq);
}

/* What a row of the tables is made from. */
struct rotation {
    uint32_t half;
    float factor; /* of cosine and sine */
    float inv_freq[MAX_HALF];
};

/* Rows pos0 .. pos0 + n_rows of both tables, in host memory. */
static void fill_rows(const struct rotation *rot, float *cos_rows, float *sin_rows, uint32_t pos0,
                      uint32_t n_rows)
{
    for (uint32_t r = 0; r < n_rows; r++) {
        for (uint32_t i = 0; i < rot->half; i++) {
            float angle = (float)(pos0 + r) * rot->inv_freq[i];
            cos_rows[(size_t)r * rot->half + i] = (float)cos((double)angle) * rot->factor;
            sin_rows[(size_t)r * rot->half + i] = (float)sin((double)angle) * rot->factor;
        }
    }
}

static enum status fill_tables(struct rope_tables *tables, struct device *dev,
                               const struct model_config *cfg, struct err *err)
{
    struct rotation rot = {.half = cfg->head_dim / 2, .factor = (float)cfg->rope.attention_factor};
    size_t row_bytes = rot.half * sizeof(float);
    float *rows = mem_array((size_t)2 * UPLOAD_POSITIONS * rot.half, sizeof *rows);
    float *sin_rows = rows + (size_t)UPLOAD_POSITIONS * rot.half;
    enum status st = ST_OK;

    rope_tables_inv_freq(cfg, rot.inv_freq);
    for (uint32_t at = 0; st == ST_OK && at < tables->n_positions; at += UPLOAD_POSITIONS) {
        uint32_t left = tables->n_positions - at;
        uint32_t n = left < UPLOAD_POSITIONS ? left : UPLOAD_POSITIONS;
        fill_rows(&rot, rows, sin_rows, at, n);
        st = device_upload(dev, tables->cos + (size_t)at * rot.half, rows, n * row_bytes, err);
        if (st == ST_OK)
            st = device_upload(dev, tables->sin + (size_t)at * rot.half, sin_rows, n * row_bytes,
                               err);
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
    if (n_positions <= tables->n_positions && tables->n_positions > 0)
        return ST_OK;
    n_positions = (n_positions / GROW_POSITIONS + 1) * GROW_POSITIONS;
    if (n_positions > ROPE_TABLES_MAX_POSITIONS)
        n_positions = ROPE_TABLES_MAX_POSITIONS;
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
