#include "tests/cuda/device_data.h"

static struct device *dev;

static void check(int n_cols, enum weight_type type)
{
    enum { VOCAB = 50, ROWS = 4 };
    static const int32_t token[ROWS] = {49, 0, 7, 7};
    size_t n = (size_t)ROWS * (size_t)n_cols, n_table = (size_t)VOCAB * (size_t)n_cols;
    void *table = data_weights(type, n_table, 5);
    float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
    struct embed_args a = {want, table, type, token, ROWS, n_cols};

    embed_ref(&a);
    for (size_t offset = 0; offset < 2; offset++) { /* checkpoints align to nothing */
        a.table = device_data_at(dev, table, n_table * weight_bytes(type), offset);
        a.out = device_data_output(dev, n * sizeof *got);
        assert_ok(device_ops(dev)->embed(dev, &a, err));
        device_data_close(dev, a.out, n * sizeof *got, got);
        assert_memory_equal(got, want, n * sizeof *got);
        device_data_drop(dev, a.table, offset);
    }
    data_weights_free(table);
    free(want);
    free(got);
}

static void rows_are_those_of_the_table(void **state)
{
    static const int cols[] = {1, 31, 256, 257, 600};
    struct embed_args none = {.n_cols = 4};

    for (size_t c = 0; c < sizeof cols / sizeof *cols; c++)
        for (int type = 0; type < 3; type++)
            check(cols[c], (enum weight_type)type);
    assert_ok(device_ops(dev)->embed(dev, &none, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_the_table),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
