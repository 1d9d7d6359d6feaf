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

/* Inputs k .. k+n-1 of a part. */
struct matmul_step {
    const struct matmul_args *a;
    struct matmul_part part;
    int k, n;
    const float *w; /* packed */
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

/* n_rows x n_outs (constants) sums over all inputs, weights from memory. */
WEIGHT_AVX2 void direct_tile(const struct matmul_args *a, int row, int out, int n_rows, int n_outs,
                             enum weight_type type, __m256 sum[][ROW_OUTS])
{
    size_t n_in = (size_t)a->n_in;
    size_t first = (size_t)out * n_in;
    const float *x = a->x + (size_t)row * n_in;
    int tail = a->n_in % LANES;
    size_t i = 0;

    for (int r = 0; r < n_rows; r++)
        for (int o = 0; o < n_outs; o++)
            sum[r][o] = _mm256_setzero_ps();
    for (; i + LANES <= n_in; i += LANES)
        for (int o = 0; o < n_outs; o++) {
            __m256 wi = weight_load_avx2(a->w, type, first + (size_t)o * n_in + i);
            for (int r = 0; r < n_rows; r++)
                sum[r][o] =
                    _mm256_fmadd_ps(_mm256_loadu_ps(x + (size_t)r * n_in + i), wi, sum[r][o]);
        }
    if (tail == 0)
        return;
    for (int o = 0; o < n_outs; o++) {
        __m256 wi = weight_tail_avx2(a->w, type, first + (size_t)o * n_in + i, tail);
        for (int r = 0; r < n_rows; r++) {
            __m256 xi = _mm256_maskload_ps(x + (size_t)r * n_in + i, weight_mask_avx2(tail));
            sum[r][o] = _mm256_fmadd_ps(xi, wi, sum[r][o]);
        }
    }
}

/* n_outs (constant) outputs of all rows of a part. */
WEIGHT_AVX2 void direct_outs(const struct matmul_args *a, struct matmul_part part, int out,
                             int n_outs, enum weight_type type)
{
    __m256 sum[TILE_ROWS][ROW_OUTS] = {0}; /* fold4 reads four, also for one output */

    for (int row = part.row; row < part.row_end; row += TILE_ROWS) {
        int n_rows = part.row_end - row < TILE_ROWS ? part.row_end - row : TILE_ROWS;

        if (n_rows == 3)
            direct_tile(a, row, out, 3, n_outs, type, sum);
        else if (n_rows == 2)
            direct_tile(a, row, out, 2, n_outs, type, sum);
        else
            direct_tile(a, row, out, 1, n_outs, type, sum);
        for (int r = 0; r < n_rows; r++)
            store4(a, row + r, out, n_outs, fold4(sum[r]));
    }
}

WEIGHT_AVX2 void direct_of_type(const struct matmul_args *a, struct matmul_part part,
                                enum weight_type type)
{
    __m256 sum[1][ROW_OUTS];
    int out = part.out;

    if (part.row_end - part.row == 1)
        for (; out + ROW_OUTS <= part.out_end; out += ROW_OUTS) {
            direct_tile(a, part.row, out, 1, ROW_OUTS, type, sum);
            store4(a, part.row, out, 4, fold4(sum[0]));
            store4(a, part.row, out + 4, 4, fold4(sum[0] + 4));
        }
    for (; out + TILE_OUTS <= part.out_end; out += TILE_OUTS)
        direct_outs(a, part, out, TILE_OUTS, type);
    for (; out < part.out_end; out++)
        direct_outs(a, part, out, 1, type);
}

void matmul_avx2_direct(const struct matmul_args *a, struct matmul_part part)
{
    switch (a->type) {
    case WEIGHT_F32:
        direct_of_type(a, part, WEIGHT_F32);
        break;
    case WEIGHT_F16:
        direct_of_type(a, part, WEIGHT_F16);
        break;
    case WEIGHT_BF16:
        direct_of_type(a, part, WEIGHT_BF16);
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

/* One step of n inputs for n_rows (constant, 1 to 3) x 4 outputs. */
WEIGHT_AVX2 void tile(const struct matmul_step *step, int row, int out, int n_rows, float *sum)
{
    const struct matmul_args *a = step->a;
    size_t stride = (size_t)a->n_in;
    const float *x = a->x + (size_t)row * stride + step->k;
    const float *w = step->w + (size_t)(out - step->part.out) * K_STEP;
    __m256 s[TILE_ROWS][TILE_OUTS], xi[TILE_ROWS];
    int n_full = step->n - step->n % LANES;

    for (int r = 0; r < n_rows; r++)
        for (int o = 0; o < TILE_OUTS; o++)
            s[r][o] = step->k == 0 ? _mm256_setzero_ps()
                                   : _mm256_load_ps(sum + (r * MATMUL_AVX2_OUTS + o) * LANES);
    for (int i = 0; i < n_full; i += LANES, w += TILE_OUTS * LANES) {
        for (int r = 0; r < n_rows; r++)
            xi[r] = _mm256_loadu_ps(x + (size_t)r * stride + i);
        for (int o = 0; o < TILE_OUTS; o++) {
            __m256 wi = _mm256_load_ps(w + o * LANES);
            for (int r = 0; r < n_rows; r++)
                s[r][o] = _mm256_fmadd_ps(xi[r], wi, s[r][o]);
        }
    }
    if (n_full < step->n) {
        __m256i mask = weight_mask_avx2(step->n - n_full);
        for (int r = 0; r < n_rows; r++) {
            xi[r] = _mm256_maskload_ps(x + (size_t)r * stride + n_full, mask);
            for (int o = 0; o < TILE_OUTS; o++)
                s[r][o] = _mm256_fmadd_ps(xi[r], _mm256_load_ps(w + o * LANES), s[r][o]);
        }
    }
    if (step->k + step->n == a->n_in) {
        int n_outs = step->part.out_end - out < TILE_OUTS ? step->part.out_end - out : TILE_OUTS;
        for (int r = 0; r < n_rows; r++)
            store4(a, row + r, out, n_outs, fold4(s[r]));
        return;
    }
    for (int r = 0; r < n_rows; r++)
        for (int o = 0; o < TILE_OUTS; o++)
            _mm256_store_ps(sum + (r * MATMUL_AVX2_OUTS + o) * LANES, s[r][o]);
}

static void tile_rows(const struct matmul_step *step, float *sums)
{
    struct matmul_part part = step->part;

    for (int row = part.row; row < part.row_end; row += TILE_ROWS)
        for (int out = part.out; out < part.out_end; out += TILE_OUTS) {
            float *sum = sums + ((row - part.row) * MATMUL_AVX2_OUTS + (out - part.out)) * LANES;

            if (part.row_end - row >= 3)
                tile(step, row, out, 3, sum);
            else if (part.row_end - row == 2)
                tile(step, row, out, 2, sum);
            else
                tile(step, row, out, 1, sum);
        }
}

void matmul_avx2_block(const struct matmul_args *a, struct matmul_part part, void *memory)
{
    struct block_scratch *scratch = memory;

    for (int k = 0; k < a->n_in; k += K_STEP) {
        int n = a->n_in - k < K_STEP ? a->n_in - k : K_STEP;
        struct matmul_step step = {.a = a, .part = part, .k = k, .n = n, .w = scratch->w};

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
        tile_rows(&step, scratch->sum);
    }
}

#else

void matmul_avx2_direct(const struct matmul_args *a, struct matmul_part part)
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
