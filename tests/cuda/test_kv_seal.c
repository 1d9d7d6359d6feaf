#include "tests/cuda/device_pages.h"

static struct device *dev;

static void check(struct kv_shape shape, enum kv_format from, enum kv_format to)
{
    enum { PAGES = 2 };
    struct device_pages f;
    size_t bytes = kv_page_bytes(to, shape);
    void *want[PAGES], *got[PAGES];
    double k_want[2] = {0}, v_want[2] = {0}, k[2] = {0}, v[2] = {0}, again[2] = {0};

    device_pages_open(&f, dev, shape, PAGES, from, KV_F16, 9);
    device_pages_outputs(dev, want, got, PAGES, bytes);
    struct kv_seal_args a = {
        want, (const void *const *)f.host.tail, from, to, shape, PAGES, k_want, v_want};
    kv_seal_ref(&a);
    a.out = got;
    a.in = f.tail;
    a.k_error = k;
    a.v_error = v;
    assert_ok(device_ops(dev)->kv_seal(dev, &a, err));
    a.k_error = NULL;
    a.v_error = again;
    assert_ok(device_ops(dev)->kv_seal(dev, &a, err));
    for (int j = 0; j < 2; j++) {
        assert_close(k[j], k_want[j], 1e-10 * k_want[j]); /* another order of doubles */
        assert_close(v[j], v_want[j], 1e-10 * v_want[j]);
        assert_true(v[j] == again[j]);
    }
    a.v_error = NULL; /* nobody asks: another way through */
    assert_ok(device_ops(dev)->kv_seal(dev, &a, err));
    device_pages_compare(dev, want, got, PAGES, bytes);
    device_pages_close(&f);
}

static void pages_are_sealed_as_the_reference_seals_them(void **state)
{
    for (int to = 0; to < KV_FORMAT_COUNT; to++) {
        check((struct kv_shape){2, 64}, KV_F16, (enum kv_format)to);
        check((struct kv_shape){3, 8}, KV_F16, (enum kv_format)to);
        check((struct kv_shape){1, 24}, KV_F32, (enum kv_format)to);
        check((struct kv_shape){1, 136}, KV_F32, (enum kv_format)to);
        check((struct kv_shape){1, 256}, KV_F16, (enum kv_format)to);
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
    size_t in_bytes = kv_page_bytes(KV_F32, shape);
    float *x = mem_array((size_t)PAGE_TOKENS * D, sizeof *x);
    void *page = mem_aligned(64, in_bytes);

    for (int by_token = 0; by_token < 2; by_token++)
        for (int to = KV_INT8; to <= KV_INT4; to++) {
            size_t bytes = kv_page_bytes((enum kv_format)to, shape);
            void *want[1], *got[1];

            for (uint32_t i = 0; i < PAGE_TOKENS * D; i++)
                x[i] = by_token ? edge_value(i / D, i % D) : edge_value(i % D, i / D);
            kv_format_ops(KV_F32)->seal(page, D, x, x);
            device_pages_outputs(dev, want, got, 1, bytes);
            const void *in[1] = {page}, *d_in[1] = {device_data_copy(dev, page, in_bytes)};
            struct kv_seal_args a = {want, in, KV_F32, (enum kv_format)to, shape, 1, NULL, NULL};
            kv_seal_ref(&a);
            a.out = got;
            a.in = d_in;
            assert_ok(device_ops(dev)->kv_seal(dev, &a, err));
            device_pages_compare(dev, want, got, 1, bytes);
            device_data_drop(dev, d_in[0], 0);
        }
    free(page);
    free(x);
}

static void a_sealed_page_is_not_sealed_again(void **state)
{
    struct kv_seal_args a = {
        .from_format = KV_INT8, .to_format = KV_INT4, .shape = {1, 8}, .n_pages = 1};
    struct err words = {{0}};

    assert_int_equal(device_ops(dev)->kv_seal(dev, &a, &words), ST_INVALID);
    a.from_format = KV_F16;
    a.n_pages = 0;
    assert_ok(device_ops(dev)->kv_seal(dev, &a, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_sealed_as_the_reference_seals_them),
        cmocka_unit_test(edges_are_sealed_as_the_reference_seals_them),
        cmocka_unit_test(a_sealed_page_is_not_sealed_again),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
