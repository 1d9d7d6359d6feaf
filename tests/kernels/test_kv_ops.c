/*
 * Writing, sealing and gathering of pages against their references, byte for
 * byte: all of them only round, and rounding is defined.
 */
#include "kernels/device.h"
#include "kernels/ops.h"
#include "tests/kernels/kv_fixture.h"
#include "tests/test_helpers.h"

static struct device *open_cpu(int n_threads, bool portable)
{
    struct device_options opt = {.n_threads = n_threads, .portable = portable};
    struct device *dev = NULL;
    struct err err = {{0}};
    if (device_open(&dev, "cpu:0", &opt, &err) != ST_OK)
        fail_msg("%s", err.text);
    return dev;
}

static void open_pages(void **page, int n, size_t bytes)
{
    for (int i = 0; i < n; i++)
        page[i] = kv_guard_open(bytes);
}

static void compare_pages(void **want, void **got, int n, size_t bytes)
{
    for (int i = 0; i < n; i++) {
        assert_memory_equal(want[i], got[i], bytes);
        kv_guard_close(want[i], bytes);
        kv_guard_close(got[i], bytes);
    }
}

static void write_one(struct kv_shape shape, enum kv_format format, int n_rows, bool portable)
{
    enum { PAGES = 4 };
    size_t n = (size_t)n_rows * shape.n_kv_heads * shape.head_dim;
    size_t bytes = kv_page_bytes(format, shape);
    float *k = kv_fixture_normals(1, n), *v = kv_fixture_normals(2, n);
    uint32_t *slot = mem_array((size_t)n_rows, sizeof *slot);
    void *want[PAGES], *got[PAGES];
    struct device *dev = open_cpu(2, portable);
    struct err err = {{0}};

    for (size_t i = 0; i < n; i += 5)
        k[i] *= i % 2 ? 1e5f : 1e-6f; /* overflow and subnormals of f16 */
    for (int r = 0; r < n_rows; r++)
        slot[r] = (uint32_t)(r * 37 + 120) % (PAGES * PAGE_TOKENS);
    open_pages(want, PAGES, bytes);
    open_pages(got, PAGES, bytes);
    struct kv_write_args a = {want, format, shape, k, v, slot, n_rows};
    kv_write_ref(&a);
    a.page = got;
    assert_int_equal(device_ops(dev)->kv_write(dev, &a, &err), ST_OK);
    compare_pages(want, got, PAGES, bytes);
    a.format = KV_INT8;
    assert_int_equal(device_ops(dev)->kv_write(dev, &a, &err), ST_INVALID);
    device_close(dev);
    free(k);
    free(v);
    free(slot);
}

static void rows_are_written_as_the_reference_writes_them(void **state)
{
    const int rows[] = {0, 1, 9, 33, 300};
    for (int portable = 0; portable < 2; portable++)
        for (size_t i = 0; i < 5; i++) {
            write_one((struct kv_shape){2, 64}, KV_F16, rows[i], portable);
            write_one((struct kv_shape){3, 8}, KV_F16, rows[i], portable);
            write_one((struct kv_shape){1, 256}, KV_F32, rows[i], portable);
        }
}

static void a_written_row_is_read_back(void **state)
{
    struct kv_shape shape = {2, 24};
    void *page[1] = {kv_guard_open(kv_page_bytes(KV_F32, shape))};
    float k[48], v[48], row[24];
    uint32_t slot[1] = {77};
    for (int i = 0; i < 48; i++) {
        k[i] = (float)i;
        v[i] = (float)(100 + i);
    }
    struct kv_write_args a = {page, KV_F32, shape, k, v, slot, 1};
    kv_write_ref(&a);
    const void *head = kv_layout_head(page[0], KV_F32, shape, 1);
    kv_format_ops(KV_F32)->get_k(head, 24, 77, row);
    assert_memory_equal(row, k + 24, sizeof row);
    kv_format_ops(KV_F32)->get_v(head, 24, 77, row);
    assert_memory_equal(row, v + 24, sizeof row);
    kv_guard_close(page[0], kv_page_bytes(KV_F32, shape));
}

static void seal_one(struct kv_shape shape, enum kv_format from, enum kv_format to, bool portable)
{
    enum { PAGES = 3 };
    struct kv_fixture f;
    size_t bytes = kv_page_bytes(to, shape);
    void *want[PAGES], *got[PAGES];
    double k_ref[2] = {0}, v_ref[2] = {0}, k_first[2] = {0}, v_first[2] = {0};
    struct err err = {{0}};

    kv_fixture_open(&f, shape, PAGES, from, KV_F16, 9);
    open_pages(want, PAGES, bytes);
    struct kv_seal_args a = {want, (const void *const *)f.tail, from, to, shape, PAGES, k_ref,
                             v_ref};
    kv_seal_ref(&a);
    for (int threads = 1; threads <= 3; threads++) {
        struct device *dev = open_cpu(threads, portable);
        double k[2] = {0}, v[2] = {0};
        open_pages(got, PAGES, bytes);
        a.out = got;
        a.k_error = k;
        a.v_error = v;
        assert_int_equal(device_ops(dev)->kv_seal(dev, &a, &err), ST_OK);
        for (int i = 0; i < PAGES; i++) {
            assert_memory_equal(want[i], got[i], bytes);
            kv_guard_close(got[i], bytes);
        }
        for (int j = 0; j < 2; j++) {
            assert_close(k[j], k_ref[j], 1e-10 * k_ref[j]); /* another order of doubles */
            assert_close(v[j], v_ref[j], 1e-10 * v_ref[j]);
            assert_true(threads == 1 || (k[j] == k_first[j] && v[j] == v_first[j]));
            k_first[j] = k[j];
            v_first[j] = v[j];
        }
        device_close(dev);
    }
    if (to == KV_INT8)
        assert_true(sqrt(k_ref[0] / k_ref[1]) < 0.01 && sqrt(v_ref[0] / v_ref[1]) < 0.01);
    if (to == from)
        assert_true(k_ref[0] == 0.0 && v_ref[0] == 0.0 && k_ref[1] > 0.0);
    for (int i = 0; i < PAGES; i++)
        kv_guard_close(want[i], bytes);
    kv_fixture_close(&f);
}

static void pages_are_sealed_as_the_reference_seals_them(void **state)
{
    for (int to = 0; to < KV_FORMAT_COUNT; to++)
        for (int portable = 0; portable < 2; portable++) {
            seal_one((struct kv_shape){2, 64}, KV_F16, (enum kv_format)to, portable);
            seal_one((struct kv_shape){3, 8}, KV_F16, (enum kv_format)to, portable);
            seal_one((struct kv_shape){1, 136}, KV_F32, (enum kv_format)to, portable);
        }
}

/* Channels of zeros of both signs, of one value, of values whose scale
 * underflows, of halves that round to even, of the largest that are allowed. */
static float edge_value(uint32_t channel, uint32_t i)
{
    static const float largest = 0x1.fffffep125f;
    switch (channel % 6) {
    case 0:
        return i % 3 == 1 ? -0.0f : 0.0f;
    case 1:
        return -3.25f;
    case 2:
        return (float)(i % 5) * 0x1p-149f;
    case 3:
        return (float)((int)(i % 255) - 127) * 0.5f;
    case 4:
        return i % 2 ? largest : -largest;
    default:
        return i == 77 ? -7.5f : -0.0f;
    }
}

static void edges_are_sealed_as_the_reference_seals_them(void **state)
{
    enum { D = 40 };
    struct kv_shape shape = {1, D};
    float *x = mem_array((size_t)PAGE_TOKENS * D, sizeof *x);
    void *page = mem_aligned(64, kv_page_bytes(KV_F32, shape));
    struct device *dev = open_cpu(2, false);
    struct err err = {{0}};

    for (int by_token = 0; by_token < 2; by_token++)
        for (int to = KV_INT8; to <= KV_INT4; to++) {
            size_t bytes = kv_page_bytes((enum kv_format)to, shape);
            void *want[1] = {kv_guard_open(bytes)}, *got[1] = {kv_guard_open(bytes)};
            for (uint32_t i = 0; i < PAGE_TOKENS * D; i++)
                x[i] = by_token ? edge_value(i / D, i % D) : edge_value(i % D, i / D);
            kv_format_ops(KV_F32)->seal(page, D, x, x);
            const void *in[1] = {page};
            struct kv_seal_args a = {want, in, KV_F32, (enum kv_format)to, shape, 1, NULL, NULL};
            kv_seal_ref(&a);
            a.out = got;
            assert_int_equal(device_ops(dev)->kv_seal(dev, &a, &err), ST_OK);
            compare_pages(want, got, 1, bytes);
        }
    device_close(dev);
    free(page);
    free(x);
}

static void gather_one(enum kv_format tail, enum kv_format sealed, enum kv_format to, bool portable)
{
    enum { PAGES = 6, TOKENS = 200, FIRST = 61, OUT_PAGES = 3 };
    struct kv_shape shape = {2, 40};
    struct kv_fixture f;
    size_t bytes = kv_page_bytes(to, shape);
    uint32_t token[2 * TOKENS];
    void *want[OUT_PAGES], *got[OUT_PAGES];
    struct device *dev = open_cpu(3, portable);
    struct err err = {{0}};

    kv_fixture_open(&f, shape, PAGES, tail, sealed, 31);
    for (uint32_t i = 0; i < 2 * TOKENS; i++)
        token[i] = i * 389 % (PAGES * PAGE_TOKENS - 20);
    open_pages(want, OUT_PAGES, bytes);
    open_pages(got, OUT_PAGES, bytes);
    /* limit 700: pages up to 3 are read sealed, 4 and 5 from the tail. */
    struct kv_gather_args a = {want, to, &f.view, 700, token, TOKENS, FIRST};
    kv_gather_ref(&a);
    a.page = got;
    assert_int_equal(device_ops(dev)->kv_gather(dev, &a, &err), ST_OK);
    float row[40], source[40];
    uint32_t last = token[2 * TOKENS - 1], slot = FIRST + TOKENS - 1;
    bool is_sealed = last / PAGE_TOKENS + 2 <= 699 / PAGE_TOKENS;
    enum kv_format from = is_sealed ? sealed : tail;
    const void *page = is_sealed ? f.sealed[last / PAGE_TOKENS] : f.tail[last / PAGE_TOKENS];
    kv_format_ops(from)->get_k(kv_layout_head(page, from, shape, 1), 40, last % PAGE_TOKENS,
                               source);
    kv_format_ops(to)->get_k(kv_layout_head(got[slot / PAGE_TOKENS], to, shape, 1), 40,
                             slot % PAGE_TOKENS, row);
    for (int d = 0; d < 40; d++)
        assert_close(row[d], source[d], fabsf(source[d]) * 0x1p-11f + 1e-7f);
    compare_pages(want, got, OUT_PAGES, bytes);
    kv_fixture_close(&f);
    device_close(dev);
}

static void tokens_are_gathered_from_any_mix(void **state)
{
    for (int sealed = 0; sealed < KV_FORMAT_COUNT; sealed++)
        for (int portable = 0; portable < 2; portable++) {
            gather_one(KV_F16, (enum kv_format)sealed, KV_F16, portable);
            gather_one(KV_F32, (enum kv_format)sealed, KV_F16, portable);
            gather_one(KV_F16, (enum kv_format)sealed, KV_F32, portable);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_written_as_the_reference_writes_them),
        cmocka_unit_test(a_written_row_is_read_back),
        cmocka_unit_test(pages_are_sealed_as_the_reference_seals_them),
        cmocka_unit_test(edges_are_sealed_as_the_reference_seals_them),
        cmocka_unit_test(tokens_are_gathered_from_any_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
