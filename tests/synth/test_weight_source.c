/* Random weights: the same whatever piece they are asked in, different by seed and name, and
 * normal with the deviation that is said. */
#include "kernels/half.h"
#include "tests/test_helpers.h"
#include "tools/synth/weight_source.h"

enum { N = 1 << 18 };

static float values[N];

static struct tensor tensor_of(const char *name, enum tensor_fill fill)
{
    struct tensor t = {.n_dims = 1, .dim = {N}, .fill = fill, .n_elements = N};

    t.name = (char *)(uintptr_t)name;
    return t;
}

static void fill_all(const char *name, enum tensor_fill fill, uint64_t seed)
{
    struct tensor t = tensor_of(name, fill);
    struct weight_source *src = NULL;

    weight_source_open(&src, WEIGHT_DTYPE_F32, seed, 8);
    weight_source_fill(src, &t, 0, N, values);
    weight_source_close(src);
}

/* Mean, deviation, and the share beyond two deviations, within five standard errors of a normal
 * distribution's, for N draws: 1/sqrt(N), 1/sqrt(2N), sqrt(p/N). */
static void check_normal(double deviation)
{
    double sum = 0, squares = 0, most = 0;
    int beyond = 0;

    for (int i = 0; i < N; i++) {
        sum += values[i];
        squares += (double)values[i] * values[i];
        beyond += fabs((double)values[i]) > 2 * deviation;
        most = fmax(most, fabs((double)values[i]));
    }
    assert_close(sum / N / deviation, 0, 5 / sqrt(N));
    assert_close(sqrt(squares / N) / deviation, 1, 5 / sqrt(2.0 * N));
    assert_close((double)beyond / N, 0.0455003, 5 * sqrt(0.0455 / N));
    assert_true(most > 4 * deviation && most < 4.4 * deviation);
}

static void weights_are_normal_and_residual_ones_shrink_with_depth(void **state)
{
    fill_all("a", TENSOR_NORMAL, 1);
    check_normal(0.02);
    fill_all("a", TENSOR_RESIDUAL, 1);
    check_normal(0.02 / 4); /* sqrt(2 * 8 layers) */
    fill_all("a", TENSOR_ONE, 1);
    for (int i = 0; i < N; i++)
        assert_true(values[i] == 1.0f);
}

/* Products of pairs: their mean is within five standard errors of 0 where draws are independent. */
static void check_unrelated(const float *a, const float *b, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += (double)a[i] * b[i] / (0.02 * 0.02);
    assert_close(sum / n, 0, 5 / sqrt(n));
}

static void neighbours_seeds_and_names_are_unrelated(void **state)
{
    static float other[N];

    fill_all("model.layers.0.q", TENSOR_NORMAL, 1);
    memcpy(other, values, sizeof other);
    for (int lag = 1; lag <= 16; lag++)
        check_unrelated(values, values + lag, N - lag);
    fill_all("model.layers.0.q", TENSOR_NORMAL, 2);
    check_unrelated(values, other, N);
    fill_all("model.layers.1.q", TENSOR_NORMAL, 1);
    check_unrelated(values, other, N);
    fill_all("model.layers.0.q", TENSOR_NORMAL, 1);
    assert_memory_equal(values, other, sizeof other);
}

static void pieces_are_parts_of_the_whole(void **state)
{
    struct tensor t = tensor_of("w", TENSOR_NORMAL);
    struct weight_source *src = NULL;
    float piece[100];

    fill_all("w", TENSOR_NORMAL, 9);
    weight_source_open(&src, WEIGHT_DTYPE_F32, 9, 8);
    for (uint64_t first = 0; first + 100 < N; first += 8 * 977) {
        for (size_t n = 1; n <= 100; n += 33) {
            memset(piece, 0x7f, sizeof piece);
            weight_source_fill(src, &t, first, n, piece);
            assert_memory_equal(piece, values + first, n * sizeof *piece);
            if (n < 100)
                assert_int_equal(((uint8_t *)piece)[n * sizeof *piece], 0x7f);
        }
    }
    weight_source_close(src);
}

static void half_types_are_the_nearest_to_the_floats(void **state)
{
    static uint16_t half[N];
    struct tensor t = tensor_of("w", TENSOR_NORMAL);

    fill_all("w", TENSOR_NORMAL, 9);
    for (int dtype = WEIGHT_DTYPE_BF16; dtype <= WEIGHT_DTYPE_F16; dtype++) {
        /* Half a unit of the last of 8 or 11 bits; below its normal numbers F16 has steps of
         * 2^-24. */
        double relative = dtype == WEIGHT_DTYPE_BF16 ? 0x1p-8 : 0x1p-11;
        struct weight_source *src = NULL;
        weight_source_open(&src, (enum weight_dtype)dtype, 9, 8);
        weight_source_fill(src, &t, 0, N, half);
        weight_source_close(src);
        for (int i = 0; i < N; i++) {
            float got =
                dtype == WEIGHT_DTYPE_BF16 ? half_from_bf16(half[i]) : half_from_f16(half[i]);
            assert_close(got, values[i], fabs((double)values[i]) * relative + 0x1p-25);
        }
    }
}

/* If this fails, seeds mean something else than they did, and measurements of another day with
 * them were of other weights. */
static void a_seed_means_these_weights(void **state)
{
    static const uint16_t golden[8] = {0xbba7, 0xbc30, 0x3cf4, 0x3bcf,
                                       0x3d2e, 0xbc7e, 0x3d55, 0xbaa9};
    struct tensor t = tensor_of("model.layers.0.self_attn.q_proj.weight", TENSOR_NORMAL);
    struct weight_source *src = NULL;
    uint16_t got[8];

    weight_source_open(&src, WEIGHT_DTYPE_BF16, 1, 32);
    weight_source_fill(src, &t, 4096, 8, got);
    weight_source_close(src);
    for (int i = 0; i < 8; i++)
        if (got[i] != golden[i])
            fail_msg("0x%04x, 0x%04x, 0x%04x, 0x%04x, 0x%04x, 0x%04x, 0x%04x, 0x%04x", got[0],
                     got[1], got[2], got[3], got[4], got[5], got[6], got[7]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_normal_and_residual_ones_shrink_with_depth),
        cmocka_unit_test(neighbours_seeds_and_names_are_unrelated),
        cmocka_unit_test(pieces_are_parts_of_the_whole),
        cmocka_unit_test(half_types_are_the_nearest_to_the_floats),
        cmocka_unit_test(a_seed_means_these_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
