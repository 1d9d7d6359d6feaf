#include "kernels/matmul_avx2.h"

#include "common/mem.h"

#if defined(__AVX2__)
#include "kernels/weight_avx2.h"

/*
 * A tile is 3 rows x 4 outputs: 12 registers of sums, 7 loads for 12 fused
 * multiply-adds. The sums of a block stay in scratch between steps of K_STEP
 * inputs, so that a step's weights (K_STEP x 16 floats) stay in the first cache
 * while all rows pass over them. Storing and reloading partial sums does not
 * change them, so the order of summation is that of one long loop.
 */
enum { TILE_ROWS = 3, TILE_OUTS = 4, K_STEP = 256, LANES = 8, ROW_OUTS = 8 };

/* Weights of one step as [quad of outputs][i / 8][4 outputs][8 lanes], zero in
 * the lanes beyond n_in; sums as [row][output][8 lanes]. */
struct block_scratch {
    float w[MATMUL_AVX2_OUTS * K_STEP];
    float sum[MATMUL_AVX2_ROWS * MATMUL_AVX2_OUTS * LANES];
};

size_t matmul_avx2_scratch(void)
{
    return sizeof(struct block_scratch);
}

/* Folds four registers of partial sums into four sums. */
WEIGHT_AVX2 __m128 fold4(const __m256 sum[4])
{
    __m256 ab = _mm256_hadd_ps(sum[0], sum[1]);
    __m256 cd = _mm256_hadd_ps(sum[2], sum[3]);
    __m256 abcd = _mm256_hadd_ps(ab, cd);

    return _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1));
}

/* Bias and what was there before are added to n <= 4 sums of one row. */
WEIGHT_AVX2 void store4(const struct matmul_args *a, int row, int out, int n, __m128 sum)
{
    const __m128i lane = _mm_setr_epi32(0, 1, 2, 3);
    __m128i mask = _mm_cmpgt_epi32(_mm_set1_epi32(n), lane);
    float *to = a->out + (size_t)row * (size_t)a->n_out + out;

    if (a->bias != NULL)
        sum = _mm_add_ps(sum, _mm_maskload_ps(a->bias + out, mask));
    if (a->accumulate)
        sum = _mm_add_ps(sum, _mm_maskload_ps(to, mask));
    _mm_maskstore_ps(to, mask, sum);
}

/* n_outs (4 or 8, constant) outputs of one row. */
WEIGHT_AVX2 void row_outs(const struct matmul_args *a, const float *x, int out, int n_outs,
                          enum weight_type type, __m256 *sum)
{
    size_t n_in = (size_t)a->n_in;
    size_t first = (size_t)out * n_in;
    int tail = a->n_in % LANES;
    size_t i = 0;

    for (int o = 0; o < n_outs; o++)
        sum[o] = _mm256_setzero_ps();
    for (; i + LANES <= n_in; i += LANES) {
        __m256 xi = _mm256_loadu_ps(x + i);
        for (int o = 0; o < n_outs; o++)
            sum[o] = _mm256_fmadd_ps(xi, weight_load_avx2(a->w, type, first + (size_t)o * n_in + i),
                                     sum[o]);
    }
    if (tail == 0)
        return;
    __m256 xi = _mm256_maskload_ps(x + i, weight_mask_avx2(tail));
    for (int o = 0; o < n_outs; o++)
        sum[o] = _mm256_fmadd_ps(
            xi, weight_tail_avx2(a->w, type, first + (size_t)o * n_in + i, tail), sum[o]);
}

WEIGHT_AVX2 void row_of_type(const struct matmul_args *a, int row, int out, int out_end,
                             enum weight_type type)
{
    const float *x = a->x + (size_t)row * (size_t)a->n_in;
    __m256 sum[ROW_OUTS];

    for (; out + ROW_OUTS <= out_end; out += ROW_OUTS) {
        row_outs(a, x, out, ROW_OUTS, type, sum);
        store4(a, row, out, 4, fold4(sum));
        store4(a, row, out + 4, 4, fold4(sum + 4));
    }
    for (; out < out_end; out++) {
        row_outs(a, x, out, 1, type, sum);
        sum[1] = sum[2] = sum[3] = sum[0];
        store4(a, row, out, 1, fold4(sum));
    }
}

void matmul_avx2_row(const struct matmul_args *a, int row, int out, int out_end)
{
    switch (a->type) {
    case WEIGHT_F32:
        row_of_type(a, row, out, out_end, WEIGHT_F32);
        break;
    case WEIGHT_F16:
        row_of_type(a, row, out, out_end, WEIGHT_F16);
        break;
    case WEIGHT_BF16:
        row_of_type(a, row, out, out_end, WEIGHT_BF16);
        break;
    }
}

/* One output's weights of a step, into lanes 8 * 4 floats apart. The line that
 * the next step will want is asked for meanwhile: rows of weights are far
 * apart, and the hardware does not look that far ahead. */
WEIGHT_AVX2 void pack_output(const struct matmul_args *a, size_t first, int n,
                             enum weight_type type, float *to)
{
    const char *ahead = (const char *)a->w + (first + K_STEP) * weight_bytes(type);
    int i = 0;

    for (; i + LANES <= n; i += LANES, to += TILE_OUTS * LANES) {
        _mm_prefetch(ahead + (size_t)i * weight_bytes(type), _MM_HINT_T0);
        _mm256_store_ps(to, weight_load_avx2(a->w, type, first + (size_t)i));
    }
    if (i < n)
        _mm256_store_ps(to, weight_tail_avx2(a->w, type, first + (size_t)i, n - i));
}

/* The weights of inputs k .. k+n-1 of a part. Outputs that fill the last quad
 * up hold what the previous step left, and nobody reads their sums. */
WEIGHT_AVX2 void pack_step(const struct matmul_args *a, struct matmul_part part, int k, int n,
                           enum weight_type type, float *w)
{
    for (int o = part.out; o < part.out_end; o++) {
        int at = o - part.out;
        float *to = w + (size_t)(at / TILE_OUTS) * TILE_OUTS * K_STEP + at % TILE_OUTS * LANES;

        pack_output(a, (size_t)o * (size_t)a->n_in + (size_t)k, n, type, to);
    }
}

/* Adds n inputs to the sums of n_rows (constant, 1 to 3) x 4. */
WEIGHT_AVX2 void tile(const float *x, size_t x_stride, const float *w, int n, int n_rows,
                      float *sum)
{
    __m256 s[TILE_ROWS][TILE_OUTS], xi[TILE_ROWS];
    int n_full = n - n % LANES;

    for (int r = 0; r < n_rows; r++)
        for (int o = 0; o < TILE_OUTS; o++)
            s[r][o] = _mm256_load_ps(sum + (r * MATMUL_AVX2_OUTS + o) * LANES);
    for (int i = 0; i < n_full; i += LANES, w += TILE_OUTS * LANES) {
        for (int r = 0; r < n_rows; r++)
            xi[r] = _mm256_loadu_ps(x + (size_t)r * x_stride + i);
        for (int o = 0; o < TILE_OUTS; o++) {
            __m256 wi = _mm256_load_ps(w + o * LANES);
            for (int r = 0; r < n_rows; r++)
                s[r][o] = _mm256_fmadd_ps(xi[r], wi, s[r][o]);
        }
    }
    if (n_full < n) {
        __m256i mask = weight_mask_avx2(n - n_full);
        for (int r = 0; r < n_rows; r++) {
            xi[r] = _mm256_maskload_ps(x + (size_t)r * x_stride + n_full, mask);
            for (int o = 0; o < TILE_OUTS; o++)
                s[r][o] = _mm256_fmadd_ps(xi[r], _mm256_load_ps(w + o * LANES), s[r][o]);
        }
    }
    for (int r = 0; r < n_rows; r++)
        for (int o = 0; o < TILE_OUTS; o++)
            _mm256_store_ps(sum + (r * MATMUL_AVX2_OUTS + o) * LANES, s[r][o]);
}

/* All tiles of a step: n_rows is one of 1, 2, 3. */
static void tile_rows(const struct matmul_args *a, struct matmul_part part, int k, int n,
                      struct block_scratch *scratch)
{
    size_t stride = (size_t)a->n_in;

    for (int row = part.row; row < part.row_end; row += TILE_ROWS) {
        const float *x = a->x + (size_t)row * stride + k;
        float *sum = scratch->sum + (size_t)(row - part.row) * MATMUL_AVX2_OUTS * LANES;

        for (int out = 0; out < part.out_end - part.out; out += TILE_OUTS) {
            const float *w = scratch->w + (size_t)out * K_STEP;

            if (part.row_end - row >= 3)
                tile(x, stride, w, n, 3, sum + out * LANES);
            else if (part.row_end - row == 2)
                tile(x, stride, w, n, 2, sum + out * LANES);
            else
                tile(x, stride, w, n, 1, sum + out * LANES);
        }
    }
}

static void finish_block(const struct matmul_args *a, struct matmul_part part, const float *sums)
{
    for (int row = part.row; row < part.row_end; row++)
        for (int out = part.out; out < part.out_end; out += TILE_OUTS) {
            int at = (row - part.row) * MATMUL_AVX2_OUTS + (out - part.out);
            int n = part.out_end - out < TILE_OUTS ? part.out_end - out : TILE_OUTS;
            __m256 sum[TILE_OUTS];

            for (int o = 0; o < TILE_OUTS; o++)
                sum[o] = _mm256_load_ps(sums + (at + o) * LANES);
            store4(a, row, out, n, fold4(sum));
        }
}

void matmul_avx2_block(const struct matmul_args *a, struct matmul_part part, void *memory)
{
    struct block_scratch *scratch = memory;
    size_t n_rows = (size_t)(part.row_end - part.row);

    memset(scratch->sum, 0, n_rows * MATMUL_AVX2_OUTS * LANES * sizeof(float));
    for (int k = 0; k < a->n_in; k += K_STEP) {
        int n = a->n_in - k < K_STEP ? a->n_in - k : K_STEP;

        switch (a->type) {
        case WEIGHT_F32:
            pack_step(a, part, k, n, WEIGHT_F32, scratch->w);
            break;
        case WEIGHT_F16:
            pack_step(a, part, k, n, WEIGHT_F16, scratch->w);
            break;
        case WEIGHT_BF16:
            pack_step(a, part, k, n, WEIGHT_BF16, scratch->w);
            break;
        }
        tile_rows(a, part, k, n, scratch);
    }
    finish_block(a, part, scratch->sum);
}

#else

void matmul_avx2_row(const struct matmul_args *a, int row, int out, int out_end)
{
    CHECK(!"no AVX2 in this build");
}

void matmul_avx2_block(const struct matmul_args *a, struct matmul_part part, void *memory)
{
    CHECK(!"no AVX2 in this build");
}

size_t matmul_avx2_scratch(void)
{
    return 0;
}

#endif
