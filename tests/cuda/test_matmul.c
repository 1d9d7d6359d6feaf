/* Products on a CUDA device, or on the host shim that stands in for one. */
#include "tests/cuda/matmul_product.h"

static struct device *dev;
static bool is_shim; /* about 100 times slower than a GPU: small sizes only */

/* Up to 64 rows a step of 64 k is summed by up to 12 tensor-core instructions, each
 * of which may truncate its last bit (2^-23), then steps, warps and splits are added
 * with a rounding each; plain sums have n_in / 32 terms a lane. Above, cuBLAS chains
 * three products of n_in / 16 instructions. All of it relative to sum |x w|. */
static double tolerance(const struct problem *is)
{
    double steps = is->n_rows > 64 ? is->n_in * 3 / 8.0 : is->n_in / 32.0;

    return (steps + 48) * 0x1p-24;
}

static void check_problem(const struct problem *is)
{
    struct product p;

    product_open(&p, dev, is);
    float *out = product_run(&p), *want = product_want(&p);
    for (size_t i = 0; i < p.out_bytes / sizeof(float); i++) {
        size_t r = i / (size_t)is->n_out, o = i % (size_t)is->n_out;
        double error = fabs((double)out[i] - (double)want[i]);
        if (!(error <= tolerance(is) * product_magnitude(&p, r, o)))
            fail_msg("row %zu output %zu of %d rows, %d -> %d, type %d, offset %zu is %g, not %g",
                     r, o, is->n_rows, is->n_in, is->n_out, (int)is->type, is->w_offset,
                     (double)out[i], (double)want[i]);
    }
    free(want);
    free(out);
    product_close(&p);
}

/* Sizes around loads (8), steps (64), step groups, tiles of 16, 32 and 128 outputs,
 * and row tiles of 8; with the offsets that leave the fast way. */
static void products_are_the_references_to_f32s_precision(void **state)
{
    static const struct problem problems[] = {
        {1, 8, 1, WEIGHT_BF16, 0, false, false},
        {1, 64, 16, WEIGHT_F16, 0, true, false},
        {2, 56, 17, WEIGHT_BF16, 0, true, true},
        {8, 72, 15, WEIGHT_F16, 0, false, true},
        {9, 128, 33, WEIGHT_BF16, 0, false, false},
        {16, 136, 20, WEIGHT_F16, 0, true, true},
        {17, 520, 31, WEIGHT_BF16, 0, true, false},
        {24, 64, 48, WEIGHT_F16, 0, false, false},
        {25, 88, 19, WEIGHT_BF16, 0, false, true},
        {33, 1096, 16, WEIGHT_F16, 0, true, true},
        {40, 64, 16, WEIGHT_BF16, 0, false, false},
        {41, 64, 18, WEIGHT_F16, 0, true, false},
        {64, 128, 16, WEIGHT_BF16, 0, true, true},
        {3, 768, 200, WEIGHT_BF16, 0, false, false},
        {5, 2048, 130, WEIGHT_F16, 0, false, true},
        {1, 4096, 24, WEIGHT_BF16, 0, true, false},
        {9, 200, 600, WEIGHT_F16, 0, true, false},
        {33, 72, 300, WEIGHT_BF16, 0, true, true},
        /* ways of loading single weights */
        {1, 7, 3, WEIGHT_BF16, 0, true, false},
        {8, 65, 5, WEIGHT_F16, 0, false, true},
        {9, 64, 6, WEIGHT_BF16, 2, true, true},
        {3, 40, 4, WEIGHT_F16, 8, false, false},
        {2, 64, 5, WEIGHT_BF16, 1, false, false},
        {9, 33, 9, WEIGHT_F16, 3, true, true},
        {1, 256, 5, WEIGHT_F32, 0, true, false},
        {9, 132, 7, WEIGHT_F32, 0, false, true},
        {3, 130, 4, WEIGHT_F32, 0, true, true},
        {8, 64, 4, WEIGHT_F32, 4, false, false},
        {2, 64, 3, WEIGHT_F32, 1, true, false},
        {1, 1, 1, WEIGHT_F32, 2, false, true},
        /* many rows */
        {65, 64, 24, WEIGHT_BF16, 0, false, false},
        {65, 72, 9, WEIGHT_F16, 0, true, true},
        {67, 136, 5, WEIGHT_BF16, 0, true, true},
        {80, 72, 7, WEIGHT_F16, 0, false, false},
        {65, 30, 9, WEIGHT_F32, 0, true, true},
        {70, 64, 8, WEIGHT_F32, 4, false, false},
        {66, 64, 5, WEIGHT_BF16, 2, true, false},
        {65, 33, 4, WEIGHT_F32, 1, false, true},
        {513, 8, 2, WEIGHT_BF16, 0, false, true},
        {514, 16, 3, WEIGHT_F16, 0, true, true},
    };

    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
        check_problem(&problems[i]);
}

/* Sizes of real models, which only a GPU does in time; they reach the wide tiles
 * and k split between blocks whatever the number of multiprocessors. */
static void products_of_real_sizes_are_the_references(void **state)
{
    static const int sizes[][2] = {{4096, 1024}, {768, 32000}, {4096, 4096}, {11008, 1000}};
    static const int rows[] = {1, 5, 33};

    if (is_shim)
        skip();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            struct problem is = {.n_rows = rows[r], .n_in = sizes[s][0], .n_out = sizes[s][1]};
            is.type = (s + r) % 2 == 0 ? WEIGHT_BF16 : WEIGHT_F16;
            check_problem(&is);
        }
    check_problem(&(struct problem){.n_rows = 512, .n_in = 768, .n_out = 768, .type = WEIGHT_BF16});
    check_problem(&(struct problem){.n_rows = 512, .n_in = 768, .n_out = 768, .type = WEIGHT_F16});
}

/* With the identity as weights every k must reach its output, and nothing else. Parts
 * of bf16 hold all 24 bits; those of f16 may lose the last. */
static void check_identity(enum weight_type type, int n, int n_rows)
{
    struct problem is = {.n_rows = n_rows, .n_in = n, .n_out = n, .type = type};
    struct product p;
    const uint16_t one = type == WEIGHT_F16 ? 0x3c00 : 0x3f80;

    product_fill(&p, dev, &is);
    memset(p.w, 0, (size_t)n * (size_t)n * sizeof one);
    for (size_t i = 0; i < (size_t)n; i++)
        memcpy(p.w + (i * (size_t)n + i) * sizeof one, &one, sizeof one);
    product_upload(&p);
    float *out = product_run(&p);
    for (size_t i = 0; i < p.out_bytes / sizeof(float); i++) {
        /* f16 parts lie on a grid of the largest of 64 neighbours times 2^-39. */
        double allowed = type == WEIGHT_BF16 ? 0 : fabs((double)p.x[i]) * 0x1p-23 + 0x1p-38;
        assert_close(out[i], p.x[i], allowed);
    }
    free(out);
    product_close(&p);
}

static void no_bit_of_an_activation_is_lost(void **state)
{
    check_identity(WEIGHT_BF16, 200, 3);
    check_identity(WEIGHT_F16, 200, 3);
    check_identity(WEIGHT_BF16, 72, 66);
    check_identity(WEIGHT_F16, 72, 66);
}

/* f16 cannot hold what activations can: magnitudes far outside its range, next to
 * small ones, and rows of zeros. */
static void activations_of_any_size_keep_their_precision(void **state)
{
    static const struct problem problems[] = {{6, 128, 18, WEIGHT_F16, 0, false, false},
                                              {6, 128, 18, WEIGHT_BF16, 0, false, false},
                                              {66, 128, 18, WEIGHT_F16, 0, false, false}};
    static const float scale[] = {0x1p-100f, 0x1p100f, 1.0f, 0.0f, 0x1p16f, 0x1p-126f};

    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        const struct problem *is = &problems[i];
        struct product p;

        product_fill(&p, dev, is);
        for (size_t k = 0; k < p.x_bytes / sizeof(float); k++)
            p.x[k] *= scale[k / (size_t)is->n_in % 6] * (k % 7 == 0 ? 300.0f : 1.0f);
        product_upload(&p);
        float *out = product_run(&p), *want = product_want(&p);
        for (size_t k = 0; k < p.out_bytes / sizeof(float); k++)
            assert_close(out[k], want[k],
                         tolerance(is) * product_magnitude(&p, k / (size_t)is->n_out,
                                                           k % (size_t)is->n_out) +
                             0x1p-126);
        free(want);
        free(out);
        product_close(&p);
    }
}

/* Rows in groups of any size and place, against all of them at once. */
static void check_company(struct problem is)
{
    static const int counts[] = {1, 2, 9, 17, 33, 41, 5, 8, 16, 24, 25};
    const size_t n_counts = is_shim ? 6 : sizeof counts / sizeof *counts;
    struct product p;

    product_open(&p, dev, &is);
    float *want = product_run(&p);
    for (size_t c = 0; c < n_counts; c++) {
        int from = (int)(c * 3) % (is.n_rows - counts[c] + 1);
        size_t at = (size_t)from * (size_t)is.n_out, n = (size_t)counts[c] * (size_t)is.n_out;

        product_reset(&p);
        product_queue(&p, from, counts[c]);
        float *out = product_result(&p);
        if (memcmp(out + at, want + at, n * sizeof *out) != 0)
            fail_msg("%d rows from %d of %d -> %d, type %d, differ from the same rows of %d",
                     counts[c], from, is.n_in, is.n_out, (int)is.type, is.n_rows);
        free(out);
    }
    free(want);
    product_close(&p);
}

static void rows_have_the_same_bits_in_any_company(void **state)
{
    check_company((struct problem){64, 136, 17, WEIGHT_BF16, 0, true, false});
    check_company((struct problem){64, 136, 17, WEIGHT_F16, 0, false, true});
    check_company((struct problem){64, 68, 5, WEIGHT_F32, 0, true, true});
    check_company((struct problem){64, 35, 5, WEIGHT_BF16, 1, false, false});
    check_company((struct problem){42, 768, 200, WEIGHT_F16, 0, false, false});
    check_company((struct problem){42, 1984, 130, WEIGHT_BF16, 0, false, false});
    if (!is_shim) {
        check_company((struct problem){64, 4096, 4096, WEIGHT_BF16, 0, false, false});
        check_company((struct problem){64, 4096, 1024, WEIGHT_F16, 0, false, true});
        check_company((struct problem){64, 1024, 32000, WEIGHT_BF16, 0, false, false});
    }
}

/* Many products in the queue, so that they are replayed and overlap if they can: each
 * adds the same bits. Where k is split, counters must have come back to zero. */
static void equal_calls_give_equal_bits(void **state)
{
    struct problem is = {4, is_shim ? 2048 : 8192, 16, WEIGHT_BF16, 0, false, false};
    struct product p;
    const int n_calls = is_shim ? 3 : 200;

    product_open(&p, dev, &is);
    float *once = product_run(&p), *want = calloc(1, p.out_bytes);
    p.is.accumulate = true;
    for (size_t i = 0; i < p.out_bytes / sizeof(float); i++) {
        p.before[i] = 0;
        for (int call = 0; call < n_calls; call++)
            want[i] += once[i];
    }
    for (int turn = 0; turn < 3; turn++) {
        product_reset(&p);
        for (int call = 0; call < n_calls; call++)
            product_queue(&p, 0, is.n_rows);
        float *out = product_result(&p);
        assert_memory_equal(out, want, p.out_bytes);
        free(out);
    }
    free(want);
    free(once);
    product_close(&p);
}

static void no_rows_touch_nothing(void **state)
{
    struct problem is = {1, 8, 8, WEIGHT_BF16, 0, false, true};
    struct product p;

    product_open(&p, dev, &is);
    product_reset(&p);
    product_queue(&p, 0, 0);
    float *out = product_result(&p);
    assert_memory_equal(out, p.before, p.out_bytes);
    free(out);
    product_close(&p);
}

static void infinities_and_nans_are_not_hidden(void **state)
{
    static const enum weight_type types[] = {WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16};

    for (size_t i = 0; i < 3; i++) {
        struct problem is = {2, 72, 3, types[i], 0, false, false};
        struct product p;

        product_fill(&p, dev, &is);
        p.x[5] = INFINITY;
        p.x[72 + 70] = NAN;
        product_upload(&p);
        float *out = product_run(&p);
        for (int k = 0; k < 6; k++)
            assert_false(isfinite(out[k]));
        free(out);
        product_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_the_references_to_f32s_precision),
        cmocka_unit_test(products_of_real_sizes_are_the_references),
        cmocka_unit_test(no_bit_of_an_activation_is_lost),
        cmocka_unit_test(activations_of_any_size_keep_their_precision),
        cmocka_unit_test(rows_have_the_same_bits_in_any_company),
        cmocka_unit_test(equal_calls_give_equal_bits),
        cmocka_unit_test(no_rows_touch_nothing),
        cmocka_unit_test(infinities_and_nans_are_not_hidden),
    };

    dev = device_data_open();
    is_shim = strstr(device_describe(dev), "shim") != NULL;
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return n_failed;
}
