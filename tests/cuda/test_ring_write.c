#include "tests/cuda/device_data.h"

static struct device *dev;

static void check(int row_floats)
{
    enum { SLOTS = 7, ROWS = 4 };
    static const uint32_t slot[ROWS] = {5, 6, 0, 2};
    size_t row = (size_t)row_floats * sizeof(float);
    float *rows = malloc(2 * ROWS * row), *want = malloc(2 * SLOTS * row);
    float *got = malloc(SLOTS * row);
    struct ring_write_args a = {
        want, want + SLOTS * row_floats, rows, rows + ROWS * row_floats, slot, ROWS, row_floats};

    data_fill(rows, 2 * ROWS * (size_t)row_floats, 3);
    memset(want, 0xff, 2 * SLOTS * row); /* as device_data_output has it */
    ring_write_ref(&a);
    a.k = device_data_copy(dev, rows, ROWS * row);
    a.v = device_data_copy(dev, rows + ROWS * row_floats, ROWS * row);
    a.k_ring = device_data_output(dev, SLOTS * row);
    a.v_ring = device_data_output(dev, SLOTS * row);
    assert_ok(device_ops(dev)->ring_write(dev, &a, err));
    device_data_close(dev, a.k_ring, SLOTS * row, got);
    assert_memory_equal(got, want, SLOTS * row);
    device_data_close(dev, a.v_ring, SLOTS * row, got);
    assert_memory_equal(got, want + SLOTS * row_floats, SLOTS * row);
    device_data_drop(dev, a.k, 0);
    device_data_drop(dev, a.v, 0);
    free(rows);
    free(want);
    free(got);
}

static void rows_go_to_their_slots_and_nowhere_else(void **state)
{
    struct ring_write_args none = {.row_floats = 3};

    check(3);
    check(256);
    check(520);
    assert_ok(device_ops(dev)->ring_write(dev, &none, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_to_their_slots_and_nowhere_else),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
