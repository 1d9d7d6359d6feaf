#include "tests/cuda/device_data.h"

static struct device *dev;

enum { POSITIONS = 40 };

static void check(int n_rows, int n_heads, int head_dim)
{
    size_t n = (size_t)n_rows * (size_t)n_heads * (size_t)head_dim, bytes = n * sizeof(float);
    size_t row = n / (size_t)n_rows, n_table = (size_t)POSITIONS * (size_t)head_dim / 2;
    float *x = malloc(bytes), *want = malloc(bytes), *got = malloc(bytes);
    float *cosine = malloc(n_table * sizeof(float)), *sine = malloc(n_table * sizeof(float));
    uint32_t pos[40];

    data_fill(x, n, 1);
    for (size_t i = 0; i < n_table; i++) {
        cosine[i] = cosf((float)i);
        sine[i] = sinf((float)i);
    }
    for (int r = 0; r < n_rows; r++)
        pos[r] = (uint32_t)(r * 7 + 3) % POSITIONS;
    memcpy(want, x, bytes);
    struct rope_args a = {want, cosine, sine, pos, n_rows, n_heads, head_dim};
    rope_ref(&a);
    a.cos = device_data_copy(dev, cosine, n_table * sizeof(float));
    a.sin = device_data_copy(dev, sine, n_table * sizeof(float));
    a.x = device_data_output(dev, bytes);
    assert_ok(device_upload(dev, a.x, x, bytes, err));
    assert_ok(device_ops(dev)->rope(dev, &a, err));
    device_data_close(dev, a.x, bytes, got);
    /* Three roundings of values below sqrt(2). */
    for (size_t i = 0; i < n; i++)
        assert_close(got[i], want[i], 4 * 0x1p-24);
    /* The last row alone has the same bits. */
    struct rope_args one = a;
    one.n_rows = 1;
    one.pos = pos + n_rows - 1;
    one.x = device_data_copy(dev, x + n - row, row * sizeof(float));
    assert_ok(device_ops(dev)->rope(dev, &one, err));
    assert_ok(device_download(dev, want, one.x, row * sizeof(float), err));
    assert_memory_equal(want, got + n - row, row * sizeof(float));
    device_data_drop(dev, one.x, 0);
    device_data_drop(dev, a.cos, 0);
    device_data_drop(dev, a.sin, 0);
    free(x);
    free(want);
    free(got);
    free(cosine);
    free(sine);
}

static void every_shape_is_near_the_reference(void **state)
{
    struct rope_args none = {.n_heads = 1, .head_dim = 8};

    check(1, 1, 2);
    check(2, 3, 8);
    check(9, 4, 64);
    check(33, 5, 24);
    check(3, 9, 128);
    assert_ok(device_ops(dev)->rope(dev, &none, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_is_near_the_reference),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
