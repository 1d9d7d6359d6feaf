/*
 * attention_tile_avx2.h - register tiles of the AVX2 page step: a few query
 * rows against a few vectors of K or V. For attention_page_avx2.c only.
 *
 * One form serves both products. b(i, v) is vector v of step i, at
 * b + i * step + v * next bytes:
 *   K  i = dimension, v = panel of 8 tokens:  c[r][token] += a[r][i] * b(i, v)
 *   V  i = token, v = 8 dimensions:           c[r][dimension] += a[r][i] * b(i, v)
 * Every element of c is summed over i in order, whatever the tile's shape.
 * Quantized: a step is two dimensions (tokens), b(i, v) 16 bytes of pairs, a
 * pairs of 16 bits; sums are exact and c = sum * factor + c.
 */
#ifndef KERNELS_ATTENTION_TILE_AVX2_H
#define KERNELS_ATTENTION_TILE_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kv_format.h"

enum {
    TILE_ROWS = 6,
    TILE_VECTORS = 8,
    TILE_ROW_PAIRS = KV_MAX_HEAD_DIM, /* int16_t from a row's pairs to the next row's */
    /* Steps a turn of the loop: a third of its instructions would else be its
     * own, and its end is foretold only when it comes after few turns. */
    TILE_STEPS = 4
};

/* n_tiles tiles side by side, each n_vectors wide: columns that follow each
 * other in b and in c, so that one call covers a section for its rows. */
struct tile {
    float *c[TILE_ROWS];      /* row r's first element */
    const void *a[TILE_ROWS]; /* float, or pairs of int16_t */
    float factor[TILE_ROWS];  /* quantized only */
    const char *b;
    size_t step, next;
    const char *ahead; /* what is read soon: touched in order, ahead_step bytes a step */
    size_t ahead_step;
    uint32_t n_steps; /* quantized: a multiple of TILE_STEPS */
    uint32_t n_tiles;
};

#define TILE_FN   __attribute__((target("avx2,fma,f16c"), always_inline)) static inline
#define TILE_LOOP _Pragma("GCC unroll 8")

enum tile_kind { TILE_F32, TILE_F16 };

/* Keeps a sum in its one register. Without it gcc 12 holds old and new values
 * side by side and spills. */
#define TILE_PIN(x) __asm__("" : "+x"(x))

/* sum += x, in place: gcc 12 puts the result of the commutative intrinsic into
 * x's register as often as into the sum's, and then copies it back. */
TILE_FN void tile_add(__m256i *sum, __m256i x)
{
    __asm__("vpaddd %1, %0, %0" : "+x"(*sum) : "x"(x));
}

/* Hardware prefetch follows few streams at a time, tiles read many. */
TILE_FN void tile_ahead(const char *ahead, int bytes)
{
    TILE_LOOP
    for (int at = 0; at < bytes; at += 64)
        _mm_prefetch(ahead + at, _MM_HINT_T1);
}

TILE_FN __m256 tile_load(const char *b, enum tile_kind kind)
{
    if (kind == TILE_F16)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)b));
    return _mm256_loadu_ps((const float *)b);
}

/* One step's vectors against one step's factors: the fewer of the two operands
 * stay in registers. */
TILE_FN void tile_float_step(__m256 acc[][TILE_VECTORS], const float *const *a, size_t i,
                             const char *b, size_t next, const int *shape)
{
    const int n_rows = shape[0], n_vectors = shape[1];
    const enum tile_kind kind = (enum tile_kind)shape[2];
    __m256 hold[TILE_VECTORS];

    TILE_LOOP
    for (int j = 0; j < (n_rows < n_vectors ? n_rows : n_vectors); j++)
        hold[j] =
            n_rows < n_vectors ? _mm256_broadcast_ss(a[j] + i) : tile_load(b + j * next, kind);
    TILE_LOOP
    for (int j = 0; j < (n_rows < n_vectors ? n_vectors : n_rows); j++) {
        __m256 x =
            n_rows < n_vectors ? tile_load(b + j * next, kind) : _mm256_broadcast_ss(a[j] + i);
        TILE_LOOP
        for (int k = 0; k < (n_rows < n_vectors ? n_rows : n_vectors); k++) {
            __m256 *sum = n_rows < n_vectors ? &acc[k][j] : &acc[j][k];
            *sum = _mm256_fmadd_ps(hold[k], x, *sum);
            TILE_PIN(*sum);
        }
    }
}

/* n_rows, n_vectors and kind are constants at every call. */
TILE_FN void tile_float(const struct tile *t, int n_rows, int n_vectors, enum tile_kind kind)
{
    const int shape[3] = {n_rows, n_vectors, (int)kind};
    const char *ahead = t->ahead;
    const size_t step = t->step, next = t->next, ahead_step = t->ahead_step;
    const uint32_t n_steps = t->n_steps;

    for (uint32_t at = 0; at < t->n_tiles * (uint32_t)n_vectors; at += (uint32_t)n_vectors) {
        const char *b = t->b + at * next;
        const float *a[TILE_ROWS];
        __m256 acc[TILE_ROWS][TILE_VECTORS];
        size_t i = 0;

        TILE_LOOP
        for (int r = 0; r < n_rows; r++) {
            a[r] = t->a[r];
            TILE_LOOP
            for (int v = 0; v < n_vectors; v++)
                acc[r][v] = _mm256_loadu_ps(t->c[r] + (at + (uint32_t)v) * 8);
        }
        for (; i + TILE_STEPS <= n_steps; i += TILE_STEPS)
            TILE_LOOP
        for (uint32_t j = 0; j < TILE_STEPS; j++, b += step, ahead += ahead_step) {
            tile_ahead(ahead, n_vectors * (kind == TILE_F16 ? 16 : 32));
            tile_float_step(acc, a, i + j, b, next, shape);
        }
        for (; i < n_steps; i++, b += step)
            tile_float_step(acc, a, i, b, next, shape);
        TILE_LOOP
        for (int r = 0; r < n_rows; r++)
            TILE_LOOP
        for (int v = 0; v < n_vectors; v++)
            _mm256_storeu_ps(t->c[r] + (at + (uint32_t)v) * 8, acc[r][v]);
    }
}

/* The pair of 16-bit factors of step i, in all lanes. */
TILE_FN __m256i tile_pair(const int16_t *a, uint32_t i)
{
    int32_t pair;
    memcpy(&pair, a + i * 2, sizeof pair);
    return _mm256_set1_epi32(pair);
}

/* Vectors of one step times each row's pair i: acc[r][v] += x[v] . pair. */
TILE_FN void tile_madd(__m256i acc[][TILE_VECTORS], const __m256i *x, const int16_t *a, size_t i,
                       int n_rows, int n_vectors)
{
    TILE_LOOP
    for (int r = 0; r < n_rows; r++) {
        __m256i pair = tile_pair(a + r * TILE_ROW_PAIRS, i);
        TILE_LOOP
        for (int v = 0; v < n_vectors; v++)
            tile_add(&acc[r][v], _mm256_madd_epi16(x[v], pair));
    }
}

/* c = sum * factor + c over n_vectors vectors of each row, from vector `at`. */
TILE_FN void tile_finish(const struct tile *t, __m256i acc[][TILE_VECTORS], uint32_t at, int n_rows,
                         int n_vectors)
{
    TILE_LOOP
    for (int r = 0; r < n_rows; r++) {
        __m256 factor = _mm256_set1_ps(t->factor[r]);
        TILE_LOOP
        for (int v = 0; v < n_vectors; v++) {
            float *c = t->c[r] + (at + (uint32_t)v) * 8;
            __m256 x = _mm256_cvtepi32_ps(acc[r][v]);
            _mm256_storeu_ps(c, _mm256_fmadd_ps(x, factor, _mm256_loadu_ps(c)));
        }
    }
}

TILE_FN __m256i tile_signed(const char *b)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)b));
}

TILE_FN __m256i tile_unsigned(const char *b)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)b));
}

enum tile_int { TILE_INT8, TILE_INT4_K, TILE_INT4_V };

/* Step i of n_vectors vectors of bytes at b.
 * int4 K: a vector is two panels of tokens, low and high nibbles: panels 2v and
 * 2v + 1 of c. int4 V: a step is four tokens, the first pair in the low nibbles
 * and the next in the high ones. */
TILE_FN void tile_int_step(__m256i acc[][TILE_VECTORS], const int16_t *a, size_t i, const char *b,
                           size_t next, const int *shape)
{
    const int n_rows = shape[0], n_vectors = shape[1];
    const enum tile_int kind = (enum tile_int)shape[2];
    const __m256i low = _mm256_set1_epi16(15);
    __m256i x[TILE_VECTORS];

    if (kind == TILE_INT4_V) {
        TILE_LOOP
        for (int v = 0; v < n_vectors; v++)
            x[v] = _mm256_and_si256(tile_unsigned(b + v * next), low);
        tile_madd(acc, x, a, 2 * i, n_rows, n_vectors);
        TILE_LOOP
        for (int v = 0; v < n_vectors; v++)
            x[v] = _mm256_srli_epi16(tile_unsigned(b + v * next), 4);
        tile_madd(acc, x, a, 2 * i + 1, n_rows, n_vectors);
        return;
    }
    TILE_LOOP
    for (int v = 0; v < n_vectors; v++) {
        if (kind == TILE_INT8) {
            x[v] = tile_signed(b + v * next);
        } else {
            __m256i both = tile_unsigned(b + v * next);
            x[2 * v] = _mm256_and_si256(both, low);
            x[2 * v + 1] = _mm256_srli_epi16(both, 4);
        }
    }
    tile_madd(acc, x, a, i, n_rows, kind == TILE_INT4_K ? 2 * n_vectors : n_vectors);
}

/* n_rows, n_vectors (of bytes) and kind are constants at every call. */
TILE_FN void tile_int(const struct tile *t, int n_rows, int n_vectors, enum tile_int kind)
{
    const int shape[3] = {n_rows, n_vectors, (int)kind};
    const int n_sums = kind == TILE_INT4_K ? 2 * n_vectors : n_vectors;
    const char *ahead = t->ahead;
    const size_t step = t->step, next = t->next, ahead_step = t->ahead_step;
    const uint32_t n_steps = t->n_steps;
    const int16_t *a = t->a[0];

    for (uint32_t tile = 0; tile < t->n_tiles; tile++) {
        const char *b = t->b + tile * (uint32_t)n_vectors * next;
        __m256i acc[TILE_ROWS][TILE_VECTORS];

        TILE_LOOP
        for (int r = 0; r < n_rows; r++)
            TILE_LOOP
        for (int v = 0; v < n_sums; v++)
            acc[r][v] = _mm256_setzero_si256();
        for (size_t i = 0; i < n_steps; i += TILE_STEPS)
            TILE_LOOP
        for (uint32_t j = 0; j < TILE_STEPS; j++, b += step, ahead += ahead_step) {
            tile_ahead(ahead, n_vectors * 16);
            tile_int_step(acc, a, i + j, b, next, shape);
        }
        tile_finish(t, acc, tile * (uint32_t)n_sums, n_rows, n_sums);
    }
}

#endif
