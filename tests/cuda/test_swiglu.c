#include "tests/cuda/device_data.h"

static struct device *dev;

static void check(int n_rows, int n_cols)
{
    size_t n = (size_t)n_rows * (size_t)n_cols, bytes = n * sizeof(float);
    float *gate = malloc(bytes), *up = malloc(bytes), *want = malloc(bytes), *got = malloc(bytes);
    struct swiglu_args a = {want, gate, up, n_rows, n_cols};

    data_fill(gate, n, 1);
    data_fill(up, n, 2);
    for (size_t i = 0; i < n; i++)
        gate[i] *= i % 3 == 0 ? 100.0f : 5.0f; /* exp overflows and vanishes too */
    swiglu_ref(&a);
    a.up = device_data_copy(dev, up, bytes);
    a.gate = a.out = device_data_output(dev, bytes); /* in place */
    assert_ok(device_upload(dev, a.out, gate, bytes, err));
    assert_ok(device_ops(dev)->swiglu(dev, &a, err));
    device_data_close(dev, a.out, bytes, got);
    /* exp of two roundings, sum, division, product. Where exp(100) overflows the
     * result is 0, and the reference below 1e-38. */
    for (size_t i = 0; i < n; i++)
        assert_close(got[i], want[i], fabs(want[i]) * 8 * 0x1p-24 + 1e-35);
    device_data_drop(dev, a.up, 0);
    free(gate);
    free(up);
    free(want);
    free(got);
}

static void every_size_is_near_the_reference(void **state)
{
    struct swiglu_args none = {.n_cols = 8};

    check(1, 1);
    check(1, 255);
    check(1, 256);
    check(3, 257);
    check(9, 1000);
    assert_ok(device_ops(dev)->swiglu(dev, &none, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_near_the_reference),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
