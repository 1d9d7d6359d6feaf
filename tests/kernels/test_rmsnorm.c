#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"

static void run(struct device *dev, const struct rmsnorm_args *a)
{
    struct err err = {{0}};

    assert_int_equal(device_ops(dev)->rmsnorm(dev, a, &err), ST_OK);
}

static void reference_is_what_a_hand_computes(void **state)
{
    const float in[4] = {3, 4, 0, 5}, weight[2] = {2, -1};
    float out[4];
    struct rmsnorm_args a = {.out = out,
                             .in = in,
                             .weight = weight,
                             .type = WEIGHT_F32,
                             .n_rows = 2,
                             .n_cols = 2,
                             .eps = 1e-12f};

    rmsnorm_ref(&a);
    assert_close(out[0], 2 * 3 / sqrt(12.5), 1e-6); /* rms = sqrt((9 + 16) / 2) */
    assert_close(out[1], -4 / sqrt(12.5), 1e-6);
    assert_close(out[2], 0, 0);
    assert_close(out[3], -sqrt(2), 1e-6);
    a.eps = 12.5f; /* doubles the mean square of the first row */
    rmsnorm_ref(&a);
    assert_close(out[0], 2 * 3 / 5.0, 1e-6);
}

static void check_size(struct device *dev, int n_rows, int n_cols, enum weight_type type)
{
    size_t n = (size_t)n_rows * (size_t)n_cols;
    float *in = malloc(n * sizeof *in), *ref = malloc(n * sizeof *ref);
    void *w = data_weights(type, (size_t)n_cols, 3);
    struct guarded out, place;

    data_fill(in, n, (uint32_t)n_cols);
    guarded_init(&out, n);
    guarded_init(&place, n);
    struct rmsnorm_args a = {.out = ref,
                             .in = in,
                             .weight = w,
                             .type = type,
                             .n_rows = n_rows,
                             .n_cols = n_cols,
                             .eps = 1e-5f};
    rmsnorm_ref(&a);
    a.out = out.p;
    run(dev, &a);
    /* The sum's relative error is below n_cols / 8 + 4 roundings of positive
     * terms, half of that after the root; division, root, two products. */
    double tol = ((n_cols / 8.0 + 4) / 2 + 5) * 0x1p-24;
    for (size_t i = 0; i < n; i++)
        assert_close(out.p[i], ref[i], fabs(ref[i]) * tol + 1e-30);
    memcpy(place.p, in, n * sizeof *in);
    a.in = place.p;
    a.out = place.p;
    run(dev, &a);
    assert_memory_equal(place.p, out.p, n * sizeof *in);
    guarded_release(&place);
    guarded_release(&out);
    data_weights_free(w);
    free(ref);
    free(in);
}

static void every_path_is_near_the_reference_and_works_in_place(void **state)
{
    static const int cols[] = {1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 128, 257, 4096, 20000};

    for (int portable = 0; portable < 2; portable++) {
        struct device *dev = data_device(2, portable);
        for (size_t c = 0; c < sizeof cols / sizeof *cols; c++)
            for (int t = 0; t < 3; t++) {
                check_size(dev, 1, cols[c], (enum weight_type)t);
                check_size(dev, 3, cols[c], (enum weight_type)t);
            }
        check_size(dev, 1200, 129, WEIGHT_BF16); /* enough for several threads */
        struct rmsnorm_args none = {.n_cols = 4, .eps = 1};
        run(dev, &none);
        device_close(dev);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_is_what_a_hand_computes),
        cmocka_unit_test(every_path_is_near_the_reference_and_works_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
