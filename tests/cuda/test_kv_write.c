#include "tests/cuda/device_pages.h"

static struct device *dev;

static void check(struct kv_shape shape, enum kv_format format, int n_rows)
{
    enum { PAGES = 4 };
    size_t n = (size_t)n_rows * shape.n_kv_heads * shape.head_dim;
    size_t bytes = kv_page_bytes(format, shape);
    float *k = kv_fixture_normals(1, n), *v = kv_fixture_normals(2, n);
    uint32_t *slot = mem_array((size_t)n_rows, sizeof *slot);
    void *want[PAGES], *got[PAGES];

    for (size_t i = 0; i < n; i += 5)
        k[i] *= i % 2 ? 1e5f : 1e-6f; /* overflow and subnormals of f16 */
    for (int r = 0; r < n_rows; r++)
        slot[r] = (uint32_t)(r * 37 + 120) % (PAGES * PAGE_TOKENS);
    device_pages_outputs(dev, want, got, PAGES, bytes);
    struct kv_write_args a = {want, format, shape, k, v, slot, n_rows};
    kv_write_ref(&a);
    a.page = got;
    a.k = device_data_copy(dev, k, n * sizeof *k);
    a.v = device_data_copy(dev, v, n * sizeof *v);
    assert_ok(device_ops(dev)->kv_write(dev, &a, err));
    device_pages_compare(dev, want, got, PAGES, bytes);
    device_data_drop(dev, a.k, 0);
    device_data_drop(dev, a.v, 0);
    free(k);
    free(v);
    free(slot);
}

static void rows_are_written_as_the_reference_writes_them(void **state)
{
    static const int rows[] = {0, 1, 9, 33};
    struct kv_write_args sealed = {.format = KV_INT8, .shape = {1, 8}, .n_rows = 1};
    struct err words = {{0}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check((struct kv_shape){2, 64}, KV_F16, rows[i]);
        check((struct kv_shape){3, 8}, KV_F16, rows[i]);
        check((struct kv_shape){1, 256}, KV_F32, rows[i]);
    }
    assert_int_equal(device_ops(dev)->kv_write(dev, &sealed, &words), ST_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_written_as_the_reference_writes_them),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
