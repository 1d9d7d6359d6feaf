#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"

enum { POSITIONS = 50 };

/* cos and sin of pos * theta_i, theta_i falling with i. */
static void fill_tables(float *cos_table, float *sin_table, int half)
{
    for (int p = 0; p < POSITIONS; p++)
        for (int i = 0; i < half; i++) {
            double angle = p * pow(10000, -(double)i / half);
            cos_table[p * half + i] = (float)cos(angle);
            sin_table[p * half + i] = (float)sin(angle);
        }
}

static void a_quarter_turn_swaps_the_halves(void **state)
{
    float x[4] = {1, 2, 3, 4};
    const float cos_table[4] = {1, 1, 0, 0}, sin_table[4] = {0, 0, 1, 1};
    const uint32_t pos[1] = {1};
    struct rope_args a = {
        .x = x, .cos = cos_table, .sin = sin_table, .pos = pos, .n_rows = 1, .n_heads = 1};

    a.head_dim = 4;
    rope_ref(&a);
    assert_close(x[0], -3, 0);
    assert_close(x[1], -4, 0);
    assert_close(x[2], 1, 0);
    assert_close(x[3], 2, 0);
}

static void check_size(struct device *dev, int n_rows, int n_heads, int head_dim)
{
    size_t n = (size_t)n_rows * (size_t)n_heads * (size_t)head_dim;
    size_t n_table = (size_t)POSITIONS * (size_t)head_dim / 2;
    float *cos_table = malloc(n_table * sizeof(float)),
          *sin_table = malloc(n_table * sizeof(float));
    float *ref = malloc(n * sizeof *ref);
    uint32_t *pos = malloc((size_t)n_rows * sizeof *pos), seed = 8;
    struct guarded x;
    struct err err = {{0}};

    guarded_init(&x, n);
    data_fill(x.p, n, 21);
    memcpy(ref, x.p, n * sizeof *ref);
    fill_tables(cos_table, sin_table, head_dim / 2);
    for (int r = 0; r < n_rows; r++)
        pos[r] = data_next(&seed) % POSITIONS;
    struct rope_args a = {ref, cos_table, sin_table, pos, n_rows, n_heads, head_dim};
    rope_ref(&a);
    a.x = x.p;
    assert_int_equal(device_ops(dev)->rope(dev, &a, &err), ST_OK);
    for (size_t i = 0; i < n; i++) /* two products below 1 and their sum, each rounded */
        assert_close(x.p[i], ref[i], 4 * 0x1p-24);
    guarded_release(&x);
    free(pos);
    free(ref);
    free(sin_table);
    free(cos_table);
}

static void every_size_is_near_the_reference(void **state)
{
    static const int dims[] = {2, 4, 8, 14, 16, 32, 64, 80, 128, 256};
    struct device *dev = data_device(2, false);

    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        check_size(dev, 1, 1, dims[d]);
        check_size(dev, 5, 3, dims[d]);
    }
    check_size(dev, 300, 8, 64); /* enough for several threads */
    struct rope_args none = {.head_dim = 8, .n_heads = 1};
    struct err err = {{0}};
    assert_int_equal(device_ops(dev)->rope(dev, &none, &err), ST_OK);
    device_close(dev);
}

/* What RoPE is for: q . k depends on the distance of positions only. */
static void products_depend_on_the_distance_only(void **state)
{
    enum { DIM = 64 };
    float cos_table[POSITIONS * DIM / 2], sin_table[POSITIONS * DIM / 2];
    double product[2];

    fill_tables(cos_table, sin_table, DIM / 2);
    for (uint32_t shift = 0; shift < 2; shift++) {
        float x[2 * DIM];
        uint32_t pos[2] = {7 + 30 * shift, 3 + 30 * shift};
        struct rope_args a = {x, cos_table, sin_table, pos, 2, 1, DIM};
        data_fill(x, 2 * DIM, 5);
        rope_ref(&a);
        product[shift] = 0;
        for (int i = 0; i < DIM; i++)
            product[shift] += (double)x[i] * x[DIM + i];
    }
    assert_close(product[0], product[1], 1e-4); /* tables are rounded to floats */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quarter_turn_swaps_the_halves),
        cmocka_unit_test(every_size_is_near_the_reference),
        cmocka_unit_test(products_depend_on_the_distance_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
