/* Attention over all that a row's limit leaves, against the reference; bits; bounds. */
#include "tests/kernels/attention_call.h"

static void compare_shape(struct kv_shape shape, int group, enum kv_format tail,
                          enum kv_format sealed, bool portable)
{
    enum { ROWS = 9, PAGES = 11 };
    uint32_t limit[ROWS] = {1, 7, 8, 129, 384, 385, 1024, 1025, 1404};
    int n_heads = (int)shape.n_kv_heads * group;
    size_t row = (size_t)n_heads * shape.head_dim;
    struct kv_fixture f;
    kv_fixture_open(&f, shape, PAGES, tail, sealed, 17 + shape.head_dim);
    float *q = kv_fixture_normals(99, ROWS * row);
    struct attention_call c = {&f.view, n_heads, q, limit, 0};
    struct device *dev = attention_call_device(2, portable);

    float *want = attention_call_run(NULL, &c, 0, ROWS),
          *got = attention_call_run(dev, &c, 0, ROWS);
    double e = attention_call_worst(want, got, ROWS * row);
    if (!(e <= attention_call_tolerance(kv_format_is_quantized(sealed))))
        fail_msg("head_dim %u group %d %s/%s portable %d: off by %g", shape.head_dim, group,
                 kv_format_ops(tail)->name, kv_format_ops(sealed)->name, portable, e);
    attention_call_drop(&c, want, ROWS);
    attention_call_drop(&c, got, ROWS);
    free(q);
    device_close(dev);
    kv_fixture_close(&f);
}

static void every_format_and_shape_matches_the_reference(void **state)
{
    const uint32_t head_dims[] = {8, 16, 24, 32, 64, 72, 80, 96, 128, 136, 256};
    for (int portable = 0; portable < 2; portable++)
        for (size_t i = 0; i < sizeof head_dims / sizeof *head_dims; i++)
            for (int sealed = 0; sealed < KV_FORMAT_COUNT; sealed++)
                compare_shape((struct kv_shape){1 + i % 2, head_dims[i]}, 1 + (int)i % 4,
                              i % 3 == 1 ? KV_F32 : KV_F16, (enum kv_format)sealed, portable);
}

static void every_group_size_matches_the_reference(void **state)
{
    for (int group = 1; group <= 9; group++)
        compare_shape((struct kv_shape){2, 32}, group, KV_F16, KV_INT8, false);
    compare_shape((struct kv_shape){1, 16}, 71, KV_F16, KV_INT4, false);
    compare_shape((struct kv_shape){1, 16}, 71, KV_F16, KV_INT4, true);
}

/* The bits of each row alone against those of calls of n rows on other
 * numbers of threads. */
static void check_invariance(enum kv_format tail, enum kv_format sealed, int group,
                             uint32_t head_dim, bool portable)
{
    enum { ROWS = 512, PAGES = 21 };
    struct kv_shape shape = {2, head_dim};
    int n_heads = 2 * group;
    size_t row = (size_t)n_heads * head_dim;
    struct kv_fixture f;
    kv_fixture_open(&f, shape, PAGES, tail, sealed, 5);
    float *q = kv_fixture_normals(77, ROWS * row);
    uint32_t limit[ROWS];
    /* Page borders and the border where a page turns sealed lie within every
     * window of 33 rows; every 5th row is somewhere else altogether. */
    for (uint32_t i = 0; i < ROWS; i++)
        limit[i] = i % 5 == 4 ? 1 + i * 5 : 2170 + i;
    struct attention_call c = {&f.view, n_heads, q, limit, 0};

    char words[96];
    snprintf(words, sizeof words, "%s/%s group %d head_dim %u", kv_format_ops(tail)->name,
             kv_format_ops(sealed)->name, group, head_dim);
    attention_call_expect_invariance(&c, ROWS, portable, words);
    free(q);
    kv_fixture_close(&f);
}

static void a_row_has_the_same_bits_in_any_call(void **state)
{
    for (int sealed = 0; sealed < KV_FORMAT_COUNT; sealed++) {
        check_invariance(KV_F16, (enum kv_format)sealed, 1, 72, false);
        check_invariance(KV_F16, (enum kv_format)sealed, 4, 32, false);
    }
    check_invariance(KV_F32, KV_INT8, 3, 16, false);
    check_invariance(KV_F16, KV_INT4, 8, 64, false);
    check_invariance(KV_F16, KV_INT8, 2, 24, true);
    check_invariance(KV_F32, KV_INT4, 2, 8, true);
}

static void what_lies_behind_the_limit_counts_for_nothing(void **state)
{
    enum { PAGES = 4 };
    struct kv_shape shape = {2, 40};
    uint32_t limits[] = {1, 5, 8, 9, 127, 128, 129, 300, 383, 384};
    float *q = kv_fixture_normals(3, 3 * 4 * 40);
    for (int portable = 0; portable < 2; portable++) {
        struct device *dev = attention_call_device(1, portable);
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            uint32_t limit[3] = {limits[i], limits[i] / 2 + 1, limits[i]};
            struct kv_fixture f;
            kv_fixture_open(&f, shape, PAGES, KV_F16, KV_F16, 8);
            struct attention_call c = {&f.view, 4, q, limit, 0};
            float *want = attention_call_run(dev, &c, 0, 3);
            float nan[40];
            for (int d = 0; d < 40; d++)
                nan[d] = NAN;
            for (uint32_t t = limits[i]; t < PAGES * PAGE_TOKENS; t++)
                for (uint32_t h = 0; h < 2; h++)
                    for (int form = 0; form < 2; form++) {
                        void *page = form ? f.sealed[t / PAGE_TOKENS] : f.tail[t / PAGE_TOKENS];
                        void *head = kv_layout_head_mut(page, KV_F16, shape, h);
                        kv_format_ops(KV_F16)->put_k(head, 40, t % PAGE_TOKENS, nan);
                        kv_format_ops(KV_F16)->put_v(head, 40, t % PAGE_TOKENS, nan);
                    }
            float *got = attention_call_run(dev, &c, 0, 3);
            assert_memory_equal(want, got, (size_t)3 * 4 * 40 * sizeof *want);
            attention_call_drop(&c, want, 3);
            attention_call_drop(&c, got, 3);
            kv_fixture_close(&f);
        }
        device_close(dev);
    }
    free(q);
}

/* Weights of any size: one key dominates by far more than e^88, and values are
 * then that key's alone. */
static void a_dominant_key_is_the_answer(void **state)
{
    struct kv_shape shape = {1, 64};
    float *q = mem_array(64, sizeof *q), row[64], value[64];
    uint32_t limit[1] = {1300};
    for (int d = 0; d < 64; d++) {
        q[d] = 30.0f;
        row[d] = 25.0f;
        value[d] = (float)d - 7.0f;
    }
    for (int portable = 0; portable < 2; portable++)
        for (uint32_t at = 0; at < 1300; at += 433) {
            struct kv_fixture f;
            kv_fixture_open(&f, shape, 11, KV_F16, KV_F16, 21);
            struct attention_call c = {&f.view, 1, q, limit, 0};
            struct device *dev = attention_call_device(1, portable);
            void *page = at / PAGE_TOKENS + 2 <= 1299 / PAGE_TOKENS ? f.sealed[at / PAGE_TOKENS]
                                                                    : f.tail[at / PAGE_TOKENS];
            for (int d = 0; d < 64; d++)
                row[d] = 1000.0f;
            kv_format_ops(KV_F16)->put_k(page, 64, at % PAGE_TOKENS, row);
            kv_format_ops(KV_F16)->put_v(page, 64, at % PAGE_TOKENS, value);
            float *got = attention_call_run(dev, &c, 0, 1);
            for (int d = 0; d < 64; d++)
                assert_close(got[d], value[d], 1e-6);
            attention_call_drop(&c, got, 1);
            device_close(dev);
            kv_fixture_close(&f);
        }
    free(q);
}

static void portable_and_vector_paths_agree_closely_on_quantized_pages(void **state)
{
    for (int sealed = KV_INT8; sealed <= KV_INT4; sealed++) {
        struct kv_shape shape = {2, 64};
        uint32_t limit[4] = {1400, 1401, 1402, 900};
        struct kv_fixture f;
        kv_fixture_open(&f, shape, 11, KV_F16, (enum kv_format)sealed, 4);
        float *q = kv_fixture_normals(12, (size_t)4 * 4 * 64);
        struct attention_call c = {&f.view, 4, q, limit, 0};
        struct device *fast = attention_call_device(2, false),
                      *slow = attention_call_device(2, true);
        float *a = attention_call_run(fast, &c, 0, 4), *b = attention_call_run(slow, &c, 0, 4);
        /* Equal integers but for roundings of q * scale that fall on the other
         * side of a half, each 2^-15 of the row's largest product. */
        assert_true(attention_call_worst(a, b, (size_t)4 * 4 * 64) < 1e-3);
        attention_call_drop(&c, a, 4);
        attention_call_drop(&c, b, 4);
        device_close(fast);
        device_close(slow);
        free(q);
        kv_fixture_close(&f);
    }
}

static void impossible_views_are_refused(void **state)
{
    struct kv_shape shape = {2, 16};
    struct kv_fixture f;
    kv_fixture_open(&f, shape, 3, KV_F16, KV_INT8, 4);
    float *q = kv_fixture_normals(12, 64), out[64];
    uint32_t limit[1] = {385};
    struct device *dev = attention_call_device(1, false);
    struct attention_args a = {out, q, limit, 1, 4, 1.0f, &f.view, 0};
    struct err err = {{0}};

    assert_int_equal(attention_cpu(dev, &a, &err), ST_INVALID);
    limit[0] = 0;
    assert_int_equal(attention_cpu(dev, &a, &err), ST_INVALID);
    limit[0] = 384;
    assert_int_equal(attention_cpu(dev, &a, &err), ST_OK);
    a.n_heads = 3;
    assert_int_equal(attention_cpu(dev, &a, &err), ST_INVALID);
    a.n_heads = 4;
    void *page[2] = {f.sealed[1], f.tail[1]};
    f.sealed[1] = f.tail[1] = NULL;
    assert_int_equal(attention_cpu(dev, &a, &err), ST_INVALID);
    assert_string_equal(err.text, "attention: page 1 of the view is missing");
    limit[0] = 128;
    assert_int_equal(attention_cpu(dev, &a, &err), ST_OK);
    a.n_rows = 0;
    assert_int_equal(attention_cpu(dev, &a, &err), ST_OK);
    f.sealed[1] = page[0];
    f.tail[1] = page[1];
    device_close(dev);
    free(q);
    kv_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_and_shape_matches_the_reference),
        cmocka_unit_test(every_group_size_matches_the_reference),
        cmocka_unit_test(a_row_has_the_same_bits_in_any_call),
        cmocka_unit_test(what_lies_behind_the_limit_counts_for_nothing),
        cmocka_unit_test(a_dominant_key_is_the_answer),
        cmocka_unit_test(portable_and_vector_paths_agree_closely_on_quantized_pages),
        cmocka_unit_test(impossible_views_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
