#include "tests/cuda/device_data.h"

static struct device *dev;

static void run(float *out, const float *in, const void *weight, enum weight_type type, int n_rows,
                int n_cols)
{
    struct rmsnorm_args a = {out, in, weight, type, n_rows, n_cols, 1e-5f};

    assert_ok(device_ops(dev)->rmsnorm(dev, &a, err));
}

static void check(int n_rows, int n_cols, enum weight_type type, size_t offset)
{
    size_t n = (size_t)n_rows * (size_t)n_cols, bytes = n * sizeof(float);
    size_t row_bytes = (size_t)n_cols * sizeof(float);
    float *in = malloc(bytes), *want = malloc(bytes), *got = malloc(bytes), *again = malloc(bytes);
    void *w = data_weights(type, (size_t)n_cols, 3);
    struct rmsnorm_args ref = {want, in, w, type, n_rows, n_cols, 1e-5f};
    void *d_weight = device_data_at(dev, w, (size_t)n_cols * weight_bytes(type), offset);
    void *out = device_data_output(dev, bytes), *alone = device_data_output(dev, row_bytes);

    data_fill(in, n, (uint32_t)n_cols);
    rmsnorm_ref(&ref);
    float *d_in = device_data_copy(dev, in, bytes);
    run(out, d_in, d_weight, type, n_rows, n_cols);
    device_data_close(dev, out, bytes, got);
    /* A lane or thread adds n_cols / 32 positive terms, then a tree; the sum's
     * error is halved by the root; division, root, two products. */
    double tol = ((n_cols / 32.0 + 12) / 2 + 5) * 0x1p-24;
    for (size_t i = 0; i < n; i++)
        assert_close(got[i], want[i], fabs(want[i]) * tol + 1e-30);
    /* The last row alone has the same bits, and in place too. */
    run(alone, d_in + (n - (size_t)n_cols), d_weight, type, 1, n_cols);
    device_data_close(dev, alone, row_bytes, again);
    assert_memory_equal(again, got + (n - (size_t)n_cols), row_bytes);
    run(d_in, d_in, d_weight, type, n_rows, n_cols);
    assert_ok(device_download(dev, again, d_in, bytes, err));
    assert_memory_equal(again, got, bytes);
    device_data_drop(dev, d_in, 0);
    device_data_drop(dev, d_weight, offset);
    data_weights_free(w);
    free(in);
    free(want);
    free(got);
    free(again);
}

static void every_size_is_near_the_reference_alone_and_in_place(void **state)
{
    static const int cols[] = {1, 31, 32, 33, 64, 257, 511, 512, 513, 4096, 5120};
    struct rmsnorm_args none = {.n_cols = 4, .eps = 1};

    for (size_t c = 0; c < sizeof cols / sizeof *cols; c++) {
        check(1 + (int)c % 6, cols[c], (enum weight_type)(c % 3), c % 2);
        check(5 - (int)c % 5, cols[c], (enum weight_type)((c + 1) % 3), 0);
    }
    assert_ok(device_ops(dev)->rmsnorm(dev, &none, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_near_the_reference_alone_and_in_place),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
