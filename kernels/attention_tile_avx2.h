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

enum { TILE_ROWS = 6, TILE_VECTORS = 8 };

struct tile {
    float *c[TILE_ROWS];      /* row r's first element of the tile */
    const void *a[TILE_ROWS]; /* float, or pairs of int16_t */
    float factor[TILE_ROWS];  /* quantized only */
    const char *b;
    size_t step, next;
    const char *ahead; /* what is read soon: touched line by line, ahead_step a step */
    size_t ahead_step;
    uint32_t n_steps;
};

#define TILE_FN   __attribute__((target("avx2,fma,f16c"), always_inline)) static inline
#define TILE_LOOP _Pragma("GCC unroll 8")

enum tile_kind { TILE_F32, TILE_F16, TILE_INT8 };

/* Keeps a sum in its one register. Without it gcc 12 holds old and new values
 * side by side and spills. */
#define TILE_PIN(x) __asm__("" : "+x"(x))

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

/* n_rows, n_vectors and kind are constants at every call. */
TILE_FN void tile_float(const struct tile *t, int n_rows, int n_vectors, enum tile_kind kind)
{
    __m256 acc[TILE_ROWS][TILE_VECTORS];
    const float *a[TILE_ROWS];
    const char *b = t->b, *ahead = t->ahead;
    const size_t step = t->step, next = t->next, ahead_step = t->ahead_step;
    const uint32_t n_steps = t->n_steps;

    TILE_LOOP
    for (int r = 0; r < n_rows; r++)
        a[r] = t->a[r];
    TILE_LOOP
    for (int r = 0; r < n_rows; r++)
        TILE_LOOP
    for (int v = 0; v < n_vectors; v++)
        acc[r][v] = _mm256_loadu_ps(t->c[r] + v * 8);
    for (uint32_t i = 0; i < n_steps; i++, b += step, ahead += ahead_step) {
        __m256 hold[TILE_ROWS];
        tile_ahead(ahead, n_vectors * (kind == TILE_F16 ? 16 : 32));
        /* The fewer of the two operands stay in registers. */
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
    TILE_LOOP
    for (int r = 0; r < n_rows; r++)
        TILE_LOOP
    for (int v = 0; v < n_vectors; v++)
        _mm256_storeu_ps(t->c[r] + v * 8, acc[r][v]);
}

/* The pair of 16-bit factors of step i, in all lanes. */
TILE_FN __m256i tile_pair(const void *a, uint32_t i)
{
    int32_t pair;
    memcpy(&pair, (const char *)a + (size_t)i * 4, sizeof pair);
    return _mm256_set1_epi32(pair);
}

TILE_FN void tile_finish(float *c, __m256i sum, float factor)
{
    __m256 x = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(factor), _mm256_loadu_ps(c));
    _mm256_storeu_ps(c, x);
}

TILE_FN void tile_int8(const struct tile *t, int n_rows, int n_vectors)
{
    __m256i acc[TILE_ROWS][TILE_VECTORS];
    const char *b = t->b, *ahead = t->ahead;
    const size_t step = t->step, next = t->next, ahead_step = t->ahead_step;
    const uint32_t n_steps = t->n_steps;

    TILE_LOOP
    for (int r = 0; r < n_rows; r++)
        TILE_LOOP
    for (int v = 0; v < n_vectors; v++)
        acc[r][v] = _mm256_setzero_si256();
    for (uint32_t i = 0; i < n_steps; i++, b += step, ahead += ahead_step) {
        tile_ahead(ahead, n_vectors * 16);
        __m256i a[TILE_ROWS];
        TILE_LOOP
        for (int r = 0; r < n_rows; r++)
            a[r] = tile_pair(t->a[r], i);
        TILE_LOOP
        for (int v = 0; v < n_vectors; v++) {
            __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + v * next)));
            TILE_LOOP
            for (int r = 0; r < n_rows; r++) {
                acc[r][v] = _mm256_add_epi32(acc[r][v], _mm256_madd_epi16(x, a[r]));
                TILE_PIN(acc[r][v]);
            }
        }
    }
    TILE_LOOP
    for (int r = 0; r < n_rows; r++)
        TILE_LOOP
    for (int v = 0; v < n_vectors; v++)
        tile_finish(t->c[r] + v * 8, acc[r][v], t->factor[r]);
}

/* int4 K: a vector of bytes is two panels of tokens, low and high nibbles;
 * panels 2v and 2v + 1 of c. */
TILE_FN void tile_int4_k(const struct tile *t, int n_rows, int n_vectors)
{
    __m256i acc[TILE_ROWS][TILE_VECTORS * 2];
    const __m256i low = _mm256_set1_epi16(15);
    const char *b = t->b, *ahead = t->ahead;
    const size_t step = t->step, next = t->next, ahead_step = t->ahead_step;
    const uint32_t n_steps = t->n_steps;

    TILE_LOOP
    for (int r = 0; r < n_rows; r++)
        TILE_LOOP
    for (int v = 0; v < n_vectors * 2; v++)
        acc[r][v] = _mm256_setzero_si256();
    for (uint32_t i = 0; i < n_steps; i++, b += step, ahead += ahead_step) {
        tile_ahead(ahead, n_vectors * 16);
        __m256i a[TILE_ROWS];
        TILE_LOOP
        for (int r = 0; r < n_rows; r++)
            a[r] = tile_pair(t->a[r], i);
        TILE_LOOP
        for (int v = 0; v < n_vectors; v++) {
            __m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(b + v * next)));
            __m256i even = _mm256_and_si256(x, low), odd = _mm256_srli_epi16(x, 4);
            TILE_LOOP
            for (int r = 0; r < n_rows; r++) {
                acc[r][2 * v] = _mm256_add_epi32(acc[r][2 * v], _mm256_madd_epi16(even, a[r]));
                acc[r][2 * v + 1] =
                    _mm256_add_epi32(acc[r][2 * v + 1], _mm256_madd_epi16(odd, a[r]));
                TILE_PIN(acc[r][2 * v]);
                TILE_PIN(acc[r][2 * v + 1]);
            }
        }
    }
    TILE_LOOP
    for (int r = 0; r < n_rows; r++)
        TILE_LOOP
    for (int v = 0; v < n_vectors * 2; v++)
        tile_finish(t->c[r] + v * 8, acc[r][v], t->factor[r]);
}

/* int4 V: a step is four tokens, the pair in the low nibbles and the next pair
 * in the high ones. */
TILE_FN void tile_int4_v(const struct tile *t, int n_rows, int n_vectors)
{
    __m256i acc[TILE_ROWS][TILE_VECTORS];
    const __m256i low = _mm256_set1_epi16(15);
    const char *b = t->b, *ahead = t->ahead;
    const size_t step = t->step, next = t->next, ahead_step = t->ahead_step;
    const uint32_t n_steps = t->n_steps;

    TILE_LOOP
    for (int r = 0; r < n_rows; r++)
        TILE_LOOP
    for (int v = 0; v < n_vectors; v++)
        acc[r][v] = _mm256_setzero_si256();
    for (uint32_t i = 0; i < n_steps; i++, b += step, ahead += ahead_step) {
        tile_ahead(ahead, n_vectors * 16);
        TILE_LOOP
        for (int v = 0; v < n_vectors; v++) {
            __m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(b + v * next)));
            __m256i even = _mm256_and_si256(x, low), odd = _mm256_srli_epi16(x, 4);
            TILE_LOOP
            for (int r = 0; r < n_rows; r++) {
                __m256i e = _mm256_madd_epi16(even, tile_pair(t->a[r], 2 * i));
                __m256i o = _mm256_madd_epi16(odd, tile_pair(t->a[r], 2 * i + 1));
                acc[r][v] = _mm256_add_epi32(acc[r][v], _mm256_add_epi32(e, o));
                TILE_PIN(acc[r][v]);
            }
        }
    }
    TILE_LOOP
    for (int r = 0; r < n_rows; r++)
        TILE_LOOP
    for (int v = 0; v < n_vectors; v++)
        tile_finish(t->c[r] + v * 8, acc[r][v], t->factor[r]);
}

#endif
