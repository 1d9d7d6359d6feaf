#include "tests/cuda/device_data.h"

static struct device *dev;

static void check(int n_vectors, int head_dim, bool with_sign)
{
    size_t n = (size_t)n_vectors * (size_t)head_dim, bytes = n * sizeof(float);
    float *x = malloc(bytes), *want = malloc(bytes), *got = malloc(bytes);
    float sign[256];
    void *d_sign;

    data_fill(x, n, 1);
    for (int i = 0; i < 256; i++)
        sign[i] = i * 37 % 11 < 5 ? -1.0f : 1.0f;
    d_sign = device_data_copy(dev, sign, sizeof sign);
    memcpy(want, x, bytes);
    struct hadamard_args a = {want, with_sign ? sign : NULL, n_vectors, head_dim};
    hadamard_ref(&a);
    a.sign = with_sign ? d_sign : NULL;
    a.x = device_data_output(dev, bytes);
    assert_ok(device_upload(dev, a.x, x, bytes, err));
    assert_ok(device_ops(dev)->hadamard(dev, &a, err));
    device_data_close(dev, a.x, bytes, got);
    /* Eight passes of sums of at most 16 in size, one product. */
    for (size_t i = 0; i < n; i++)
        assert_close(got[i], want[i], 2e-6);
    device_data_drop(dev, d_sign, 0);
    free(x);
    free(want);
    free(got);
}

static void every_block_is_near_the_reference(void **state)
{
    static const int dims[] = {8, 24, 32, 64, 96, 128, 136, 256};
    struct hadamard_args none = {.head_dim = 8};
    struct err words = {{0}};

    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        check(1 + (int)i, dims[i], i % 2 == 0);
    check(33, 64, true);
    assert_ok(device_ops(dev)->hadamard(dev, &none, err));
    none = (struct hadamard_args){.n_vectors = 1, .head_dim = 12};
    assert_int_equal(device_ops(dev)->hadamard(dev, &none, &words), ST_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_is_near_the_reference),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
