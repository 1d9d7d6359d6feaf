#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"

static void run(struct device *dev, const struct swiglu_args *a)
{
    struct err err = {{0}};

    assert_int_equal(device_ops(dev)->swiglu(dev, a, &err), ST_OK);
}

static void reference_is_what_a_hand_computes(void **state)
{
    const float gate[3] = {0, 1, -2}, up[3] = {5, 2, 3};
    float out[3];
    struct swiglu_args a = {out, gate, up, 1, 3};

    swiglu_ref(&a);
    assert_close(out[0], 0, 0);
    assert_close(out[1], 2 * 0.7310585786, 1e-6); /* 1 / (1 + 1/e) */
    assert_close(out[2], 3 * -2 * 0.1192029220, 1e-6);
}

static void check_size(struct device *dev, int n_rows, int n_cols, float range)
{
    size_t n = (size_t)n_rows * (size_t)n_cols;
    float *gate = malloc(n * sizeof *gate), *up = malloc(n * sizeof *up);
    float *ref = malloc(n * sizeof *ref);
    struct guarded out;

    data_fill(gate, n, 2);
    data_fill(up, n, 3);
    for (size_t i = 0; i < n; i++)
        gate[i] *= range;
    guarded_init(&out, n);
    struct swiglu_args a = {ref, gate, up, n_rows, n_cols};
    swiglu_ref(&a);
    a.out = out.p;
    run(dev, &a);
    /* exp within a unit, one addition, division, product; where exp(-gate)
     * overflows the vector's range, silu is below 1e-35. */
    for (size_t i = 0; i < n; i++)
        assert_close(out.p[i], ref[i], fabs(ref[i]) * 6 * 0x1p-24 + 1e-35);
    memcpy(ref, out.p, n * sizeof *ref);
    a.out = gate;
    run(dev, &a);
    assert_memory_equal(gate, ref, n * sizeof *ref);
    guarded_release(&out);
    free(ref);
    free(up);
    free(gate);
}

static void every_path_is_near_the_reference_and_works_in_place(void **state)
{
    static const int cols[] = {1, 7, 8, 9, 255, 256, 257};

    for (int portable = 0; portable < 2; portable++) {
        struct device *dev = data_device(2, portable);
        for (size_t c = 0; c < sizeof cols / sizeof *cols; c++) {
            check_size(dev, 1, cols[c], 8);
            check_size(dev, 3, cols[c], 8);
            check_size(dev, 3, cols[c], 300);
        }
        check_size(dev, 33, 4099, 8); /* enough for several threads */
        struct swiglu_args none = {.n_cols = 4};
        run(dev, &none);
        device_close(dev);
    }
}

/* silu(x) is x far above 0 and 0 far below; never NaN. */
static void the_far_ends_are_straight(void **state)
{
    const float gate[4] = {1e30f, -1e30f, 100, -100}, up[4] = {1, 1, 1, 1};

    for (int portable = 0; portable < 2; portable++) {
        struct device *dev = data_device(1, portable);
        float out[4];
        struct swiglu_args a = {out, gate, up, 1, 4};
        run(dev, &a);
        assert_true(out[0] == 1e30f && out[2] == 100);
        assert_close(out[1], 0, 0);
        assert_close(out[3], 0, 1e-35);
        device_close(dev);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_is_what_a_hand_computes),
        cmocka_unit_test(every_path_is_near_the_reference_and_works_in_place),
        cmocka_unit_test(the_far_ends_are_straight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
