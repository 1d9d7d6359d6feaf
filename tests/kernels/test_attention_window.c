/* Attention of rows that see only the last tokens below their limit: every path against the
 * reference, windows that end on, before and behind borders of pages and splits. */
#include "tests/kernels/attention_call.h"

enum { PAGES = 11, END = PAGES * PAGE_TOKENS };

static const uint32_t windows[] = {1,   7,    8,    9,    127,  128,     129,
                                   256, 1000, 1023, 1024, 1025, END - 1, END};
enum { N_WINDOWS = sizeof windows / sizeof windows[0] };

/* 9 rows take the splits and try all windows, 140 the blocks and try every 3rd. */
static void compare(enum kv_format tail, enum kv_format sealed, bool portable, int n_rows)
{
    struct kv_shape shape = {2, 24};
    size_t row = (size_t)4 * shape.head_dim;
    uint32_t *limit = mem_array((size_t)n_rows, sizeof *limit);
    float *q = kv_fixture_normals(99, (size_t)n_rows * row);
    struct device *dev = attention_call_device(2, portable);
    struct kv_fixture f;

    kv_fixture_open(&f, shape, PAGES, tail, sealed, 31);
    for (int r = 0; r < n_rows; r++)
        limit[r] = n_rows < 20 ? 1 + (uint32_t)r * (END - 1) / (uint32_t)(n_rows - 1)
                               : END - (uint32_t)(n_rows - 1 - r);
    for (size_t i = 0; i < N_WINDOWS; i += n_rows < 20 ? 1 : 3) {
        struct attention_call c = {&f.view, 4, q, limit, windows[i]};
        float *want = attention_call_run(NULL, &c, 0, n_rows);
        float *got = attention_call_run(dev, &c, 0, n_rows);
        double e = attention_call_worst(want, got, (size_t)n_rows * row);
        if (!(e <= attention_call_tolerance(kv_format_is_quantized(sealed))))
            fail_msg("window %u of %s/%s, %d rows, portable %d: off by %g", windows[i],
                     kv_format_ops(tail)->name, kv_format_ops(sealed)->name, n_rows, portable, e);
        attention_call_drop(&c, want, n_rows);
        attention_call_drop(&c, got, n_rows);
    }
    kv_fixture_close(&f);
    device_close(dev);
    free(limit);
    free(q);
}

static void every_window_matches_the_reference(void **state)
{
    for (int portable = 0; portable < 2; portable++) {
        for (int sealed = 0; sealed < KV_FORMAT_COUNT; sealed++)
            compare(sealed % 2 == 0 ? KV_F16 : KV_F32, (enum kv_format)sealed, portable, 9);
        compare(KV_F16, KV_INT4, portable, 140);
    }
}

/* The definition itself: with a window of w, a row of limit t has what it would have if the
 * tokens 0 .. t-w-1 had never been. */
static void the_reference_forgets_what_lies_before_the_window(void **state)
{
    enum { W = 130, LIMIT = 300 };
    struct kv_shape shape = {1, 8};
    uint32_t limit[1] = {LIMIT}, short_limit[1] = {W};
    float *q = kv_fixture_normals(4, 8), row[8];
    struct kv_fixture f, moved;

    kv_fixture_open(&f, shape, 3, KV_F32, KV_F32, 1);
    kv_fixture_open(&moved, shape, 3, KV_F32, KV_F32, 2);
    for (uint32_t p = 0; p < 3; p++) { /* one form, so that both rows read the same */
        free(f.sealed[p]);
        free(moved.sealed[p]);
        f.sealed[p] = moved.sealed[p] = NULL;
    }
    const struct kv_format_ops *ops = kv_format_ops(KV_F32);
    for (uint32_t t = 0; t < W; t++) {
        uint32_t from = LIMIT - W + t;
        ops->get_k(f.tail[from / PAGE_TOKENS], 8, from % PAGE_TOKENS, row);
        ops->put_k(moved.tail[t / PAGE_TOKENS], 8, t % PAGE_TOKENS, row);
        ops->get_v(f.tail[from / PAGE_TOKENS], 8, from % PAGE_TOKENS, row);
        ops->put_v(moved.tail[t / PAGE_TOKENS], 8, t % PAGE_TOKENS, row);
    }
    struct attention_call c = {&f.view, 1, q, limit, W};
    struct attention_call d = {&moved.view, 1, q, short_limit, 0};
    float *a = attention_call_run(NULL, &c, 0, 1), *b = attention_call_run(NULL, &d, 0, 1);
    assert_memory_equal(a, b, 8 * sizeof *a);
    attention_call_drop(&c, a, 1);
    attention_call_drop(&d, b, 1);
    kv_fixture_close(&f);
    kv_fixture_close(&moved);
    free(q);
}

/* The bits of each row alone against those of calls of n rows on other numbers of threads. */
static void check_invariance(enum kv_format sealed, uint32_t window, bool portable)
{
    enum { ROWS = 150 };
    struct kv_shape shape = {2, 16};
    size_t row = (size_t)4 * shape.head_dim;
    float *q = kv_fixture_normals(77, ROWS * row);
    struct kv_fixture f;
    uint32_t limit[ROWS];

    kv_fixture_open(&f, shape, PAGES, KV_F16, sealed, 5);
    for (uint32_t i = 0; i < ROWS; i++)
        limit[i] = i % 5 == 4 ? 1 + i * 8 : END - ROWS + i;
    struct attention_call c = {&f.view, 4, q, limit, window};
    char words[96];
    snprintf(words, sizeof words, "%s, window %u", kv_format_ops(sealed)->name, window);
    attention_call_expect_invariance(&c, ROWS, portable, words);
    free(q);
    kv_fixture_close(&f);
}

static void a_windowed_row_has_the_same_bits_in_any_call(void **state)
{
    check_invariance(KV_F16, 100, false);
    check_invariance(KV_F16, 1029, false);
    check_invariance(KV_INT8, 300, false);
    check_invariance(KV_INT4, 1024, false);
    check_invariance(KV_INT8, 1029, true);
}

/* A window that covers the limit changes nothing, not a bit. */
static void a_window_that_covers_all_is_none(void **state)
{
    enum { ROWS = 3 };
    uint32_t limit[ROWS] = {200, 1300, 1301};
    float *q = kv_fixture_normals(8, (size_t)ROWS * 4 * 16);

    for (int portable = 0; portable < 2; portable++) {
        struct device *dev = attention_call_device(2, portable);
        struct kv_fixture f;
        kv_fixture_open(&f, (struct kv_shape){2, 16}, PAGES, KV_F16, KV_INT8, 6);
        struct attention_call none = {&f.view, 4, q, limit, 0};
        struct attention_call all = {&f.view, 4, q, limit, 1301};
        float *a = attention_call_run(dev, &none, 0, ROWS);
        float *b = attention_call_run(dev, &all, 0, ROWS);
        assert_memory_equal(a, b, (size_t)ROWS * 4 * 16 * sizeof *a);
        attention_call_drop(&none, a, ROWS);
        attention_call_drop(&all, b, ROWS);
        kv_fixture_close(&f);
        device_close(dev);
    }
    free(q);
}

/* Tokens before the window may be anything finite; pages wholly before it need not be there. */
static void what_lies_before_the_window_counts_for_nothing(void **state)
{
    enum { W = 300, ROWS = 2, D = 40 };
    uint32_t limit[ROWS] = {1300, 1301};
    uint32_t first = limit[0] - W;
    float *q = kv_fixture_normals(3, (size_t)ROWS * 4 * D), big[D];

    for (int d = 0; d < D; d++)
        big[d] = 6e4f;
    for (int portable = 0; portable < 2; portable++) {
        struct device *dev = attention_call_device(2, portable);
        struct kv_fixture f;
        kv_fixture_open(&f, (struct kv_shape){2, D}, PAGES, KV_F16, KV_F16, 8);
        struct attention_call c = {&f.view, 4, q, limit, W};
        float *want = attention_call_run(dev, &c, 0, ROWS);
        for (uint32_t t = first / PAGE_TOKENS * PAGE_TOKENS; t < first; t++)
            for (uint32_t h = 0; h < 2; h++) {
                void *head = kv_layout_head_mut(f.sealed[t / PAGE_TOKENS], KV_F16, f.view.shape, h);
                kv_format_ops(KV_F16)->put_k(head, D, t % PAGE_TOKENS, big);
                kv_format_ops(KV_F16)->put_v(head, D, t % PAGE_TOKENS, big);
            }
        for (uint32_t p = 0; p < first / PAGE_TOKENS; p++) {
            free(f.sealed[p]);
            free(f.tail[p]);
            f.sealed[p] = f.tail[p] = NULL;
        }
        float *got = attention_call_run(dev, &c, 0, ROWS);
        assert_memory_equal(want, got, (size_t)ROWS * 4 * D * sizeof *want);
        attention_call_drop(&c, want, ROWS);
        attention_call_drop(&c, got, ROWS);

        struct err err = {{0}};
        float out[ROWS * 4 * D];
        struct attention_args a = {out, q, limit, ROWS, 4, 1.0f, &f.view, W + PAGE_TOKENS};
        assert_int_equal(attention_cpu(dev, &a, &err), ST_INVALID);
        assert_string_equal(err.text, "attention: page 6 of the view is missing");
        kv_fixture_close(&f);
        device_close(dev);
    }
    free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_window_matches_the_reference),
        cmocka_unit_test(the_reference_forgets_what_lies_before_the_window),
        cmocka_unit_test(a_windowed_row_has_the_same_bits_in_any_call),
        cmocka_unit_test(a_window_that_covers_all_is_none),
        cmocka_unit_test(what_lies_before_the_window_counts_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
