#include "tools/synth/weight_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/mem.h"
#include "common/rng.h"
#include "kernels/half.h"

enum { QUANTILES = 1 << 16 };

#define DEVIATION 0.02

/* One table for each deviation, of values in the dtype. */
struct weight_source {
    enum weight_dtype dtype;
    uint64_t seed;
    void *table[2]; /* [TENSOR_NORMAL or TENSOR_RESIDUAL][QUANTILES], owned */
};

static const struct {
    const char *name, *torch;
    uint32_t bytes;
} dtypes[WEIGHT_DTYPES] = {
    [WEIGHT_DTYPE_BF16] = {"BF16", "bfloat16", 2},
    [WEIGHT_DTYPE_F16] = {"F16", "float16", 2},
    [WEIGHT_DTYPE_F32] = {"F32", "float32", 4},
};

uint32_t weight_dtype_bytes(enum weight_dtype dtype)
{
    return dtypes[dtype].bytes;
}

const char *weight_dtype_name(enum weight_dtype dtype)
{
    return dtypes[dtype].name;
}

const char *weight_dtype_torch(enum weight_dtype dtype)
{
    return dtypes[dtype].torch;
}

/* To the nearest, ties to even; x is finite. */
static uint16_t bf16_bits(float x)
{
    uint32_t bits = half_f32_to_bits(x);

    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void put(void *table, enum weight_dtype dtype, size_t i, float x)
{
    if (dtype == WEIGHT_DTYPE_F32)
        ((float *)table)[i] = x;
    else
        ((uint16_t *)table)[i] = dtype == WEIGHT_DTYPE_BF16 ? bf16_bits(x) : half_to_f16(x);
}

/* The upper half of the standard normal's quantiles, ascending; the lower half mirrors it. Each is
 * Newton's root of erfc(x / sqrt 2) / 2 = tail, begun at its neighbour: the tail is convex in x
 * above 0, so that the steps approach from below and never pass the root. */
static void make_quantiles(double x[QUANTILES / 2])
{
    const double root_two = 1.4142135623730951, root_two_pi = 2.5066282746310002;
    double at = 0.0;

    for (int k = 0; k < QUANTILES / 2; k++) {
        double tail = (QUANTILES / 2 - k - 0.5) / QUANTILES, step = 1.0;
        for (int i = 0; i < 64 && step > 1e-13; i++) {
            step = (0.5 * erfc(at / root_two) - tail) * root_two_pi * exp(0.5 * at * at);
            at += step;
        }
        x[k] = at;
    }
}

void weight_source_open(struct weight_source **out, enum weight_dtype dtype, uint64_t seed,
                        uint32_t n_layers)
{
    const double deviation[2] = {
        [TENSOR_NORMAL] = DEVIATION, [TENSOR_RESIDUAL] = DEVIATION / sqrt(2.0 * n_layers)};
    struct weight_source *src = mem_zalloc(sizeof *src);
    double *x = mem_array(QUANTILES / 2, sizeof *x);

    src->dtype = dtype;
    src->seed = seed;
    make_quantiles(x);
    for (int fill = 0; fill < 2; fill++) {
        src->table[fill] = mem_array(QUANTILES, dtypes[dtype].bytes);
        for (size_t k = 0; k < QUANTILES / 2; k++) {
            float value = (float)(x[k] * deviation[fill]);
            put(src->table[fill], dtype, QUANTILES / 2 + k, value);
            put(src->table[fill], dtype, QUANTILES / 2 - 1 - k, -value);
        }
    }
    free(x);
    *out = src;
}

void weight_source_close(struct weight_source *src)
{
    if (src == NULL)
        return;
    free(src->table[0]);
    free(src->table[1]);
    free(src);
}

/* Eight 16-bit lanes, low half of each word first. */
static void draw(uint64_t key, uint64_t block, uint16_t lane[WEIGHT_LANES])
{
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0, RNG_WEIGHTS};
    const uint32_t halves[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    struct rng_block b = rng_philox(counter, halves);

    for (int w = 0; w < 4; w++) {
        lane[2 * w] = (uint16_t)b.word[w];
        lane[2 * w + 1] = (uint16_t)(b.word[w] >> 16);
    }
}

static void fill_random(const struct weight_source *src, const struct tensor *t, uint64_t first,
                        size_t n, void *out)
{
    uint64_t key = XXH3_64bits_withSeed(t->name, strlen(t->name), src->seed);
    const void *table = src->table[t->fill];
    uint16_t lane[WEIGHT_LANES];

    for (size_t i = 0; i < n; i += WEIGHT_LANES) {
        size_t n_now = n - i < WEIGHT_LANES ? n - i : WEIGHT_LANES;
        draw(key, (first + i) / WEIGHT_LANES, lane);
        if (src->dtype == WEIGHT_DTYPE_F32)
            for (size_t l = 0; l < n_now; l++)
                ((float *)out)[i + l] = ((const float *)table)[lane[l]];
        else
            for (size_t l = 0; l < n_now; l++)
                ((uint16_t *)out)[i + l] = ((const uint16_t *)table)[lane[l]];
    }
}

void weight_source_fill(const struct weight_source *src, const struct tensor *t, uint64_t first,
                        size_t n, void *out)
{
    CHECK(first % WEIGHT_LANES == 0);
    if (t->fill != TENSOR_ONE) {
        fill_random(src, t, first, n, out);
        return;
    }
    for (size_t i = 0; i < n; i++)
        put(out, src->dtype, i, 1.0f);
}
