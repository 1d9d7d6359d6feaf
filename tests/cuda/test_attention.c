/* Attention on CUDA against the reference: every way through it, bits, bounds, refusals. */
#include "tests/cuda/device_pages.h"
#include "tests/kernels/attention_call.h"

/* 5 pages of few KV heads are three splits. */
enum { PAGES = 5, END = PAGES * PAGE_TOKENS };

/* f16 factors in two halves keep 2^-22 of an element, sums are f32: a score of 100, which outlier
 * channels make, is off by some 1e-5, and so is p relatively. Values are of order 1. */
static const double tolerance = 1e-4;

static struct device *dev;

/* Rows first .. first + n of a call whose view is the device's; the result is the caller's. */
static float *run(const struct attention_call *c, int first, int n)
{
    size_t row = (size_t)c->n_heads * c->view->shape.head_dim, bytes = (size_t)n * row * 4;
    float *out = malloc(bytes), *q = device_data_copy(dev, c->q + (size_t)first * row, bytes);
    struct attention_args a = {.out = device_data_output(dev, bytes),
                               .q = q,
                               .limit = c->limit + first,
                               .n_rows = n,
                               .n_heads = c->n_heads,
                               .scale = 1.0f / sqrtf((float)c->view->shape.head_dim),
                               .view = c->view,
                               .window = c->window};

    assert_non_null(out);
    assert_ok(device_ops(dev)->attention(dev, &a, err));
    device_data_close(dev, a.out, bytes, out);
    device_data_drop(dev, q, 0);
    return out;
}

struct settings {
    struct kv_shape shape;
    int group, n_rows;
    enum kv_format tail, sealed;
    uint32_t window;
};

/* Borders of pages and splits, where a page turns sealed, the whole and a single token. */
static void limits(uint32_t *limit, int n_rows)
{
    static const uint32_t border[] = {END, 1, 7, 8, 129, 384, 385, 256, END - 1};

    for (int r = 0; r < n_rows; r++)
        limit[r] = r < 9 ? border[r] : 300 + (uint32_t)r * 3;
}

static void compare(struct settings s)
{
    int n_heads = (int)s.shape.n_kv_heads * s.group;
    size_t row = (size_t)n_heads * s.shape.head_dim, n = (size_t)s.n_rows * row;
    uint32_t *limit = mem_array((size_t)s.n_rows, sizeof *limit);
    float *q = kv_fixture_normals(99, n);
    struct device_pages pages;

    limits(limit, s.n_rows);
    device_pages_open(&pages, dev, s.shape, PAGES, s.tail, s.sealed, 17 + s.shape.head_dim);
    struct attention_call host = {&pages.host.view, n_heads, q, limit, s.window}, c = host;
    c.view = &pages.view;
    float *want = attention_call_run(NULL, &host, 0, s.n_rows), *got = run(&c, 0, s.n_rows);
    double e = attention_call_worst(want, got, n);
    if (!(e <= tolerance))
        fail_msg("head_dim %u group %d %s/%s, %d rows, window %u: off by %g", s.shape.head_dim,
                 s.group, kv_format_ops(s.tail)->name, kv_format_ops(s.sealed)->name, s.n_rows,
                 s.window, e);
    attention_call_drop(&host, want, s.n_rows);
    free(got);
    device_pages_close(&pages);
    free(q);
    free(limit);
}

static void every_format_and_shape_matches_the_reference(void **state)
{
    static const uint32_t windows[] = {0, 129, 1, 300};

    for (int sealed = 0; sealed < KV_FORMAT_COUNT; sealed++)
        for (uint32_t d = 64; d <= 256; d *= 2)
            compare((struct settings){.shape = {1, d},
                                      .group = 1 + sealed % 2,
                                      .n_rows = 9,
                                      .tail = KV_F16,
                                      .sealed = (enum kv_format)sealed,
                                      .window = windows[(d / 64 + (uint32_t)sealed) % 4]});
    for (int sealed = 0; sealed < KV_FORMAT_COUNT; sealed++)
        for (uint32_t d = 8; d <= 80; d += 24)
            compare((struct settings){.shape = {1 + d % 3, d},
                                      .group = 2,
                                      .n_rows = 3,
                                      .tail = d % 16 == 0 ? KV_F32 : KV_F16,
                                      .sealed = (enum kv_format)sealed,
                                      .window = windows[d / 8 % 4]});
    compare((struct settings){{1, 64}, 1, 9, KV_F32, KV_INT8, 0});
}

static void every_window_matches_the_reference(void **state)
{
    static const uint32_t windows[] = {1, 8, 127, 128, 129, 255, 256, 257, END - 1, END};

    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        compare(
            (struct settings){{1, 64}, 1, 9, KV_F16, (enum kv_format)(KV_F16 + i % 3), windows[i]});
}

/* Prefill: blocks walk all pages by themselves; the last tile of rows is not full. */
static void many_rows_match_the_reference(void **state)
{
    compare((struct settings){{2, 64}, 1, 70, KV_F16, KV_F16, 0});
    compare((struct settings){{1, 128}, 3, 34, KV_F16, KV_INT4, 0});
    compare((struct settings){{1, 64}, 1, 50, KV_F16, KV_INT8, 200});
    compare((struct settings){{1, 32}, 1, 34, KV_F16, KV_INT8, 0});
}

/* 16 KV heads have longer splits, 8 have others. */
static void every_length_of_splits_matches_the_reference(void **state)
{
    compare((struct settings){{16, 64}, 1, 2, KV_F16, KV_INT8, 0});
    compare((struct settings){{8, 64}, 1, 2, KV_F16, KV_INT4, 0});
}

/* Rows alone against calls of one, two, three and four tiles of rows. */
static void check_invariance(enum kv_format sealed, int group, uint32_t head_dim, uint32_t window)
{
    enum { ROWS = 33 };
    static const int sizes[] = {2, 9, 17, 33};
    int n_heads = group;
    size_t row = (size_t)n_heads * head_dim;
    float *q = kv_fixture_normals(77, ROWS * row), *all = malloc(ROWS * row * sizeof *all);
    uint32_t limit[ROWS];
    struct device_pages pages;

    assert_non_null(all);
    device_pages_open(&pages, dev, (struct kv_shape){1, head_dim}, PAGES, KV_F16, sealed, 5);
    for (uint32_t i = 0; i < ROWS; i++)
        limit[i] = i % 5 == 4 ? 1 + i * 5 : 370 + i; /* across a page and a page's turn */
    struct attention_call c = {&pages.view, n_heads, q, limit, window};
    for (int r = 0; r < ROWS; r++) {
        float *alone = run(&c, r, 1);
        memcpy(all + (size_t)r * row, alone, row * sizeof *alone);
        free(alone);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int n = sizes[i], first = (ROWS - n) / 2;
        float *got = run(&c, first, n);
        if (memcmp(got, all + (size_t)first * row, (size_t)n * row * sizeof *got) != 0)
            fail_msg("%s group %d head_dim %u: %d rows differ from 1 row",
                     kv_format_ops(sealed)->name, group, head_dim, n);
        free(got);
    }
    device_pages_close(&pages);
    free(q);
    free(all);
}

static void a_row_has_the_same_bits_in_any_call(void **state)
{
    check_invariance(KV_F16, 1, 128, 0);
    check_invariance(KV_F16, 3, 64, 150);
    check_invariance(KV_INT8, 2, 64, 0);
    check_invariance(KV_INT4, 2, 64, 0);
    check_invariance(KV_INT4, 1, 128, 140);
    check_invariance(KV_INT8, 1, 128, 200);
    check_invariance(KV_INT8, 1, 256, 0);
    check_invariance(KV_INT4, 1, 256, 0);
    check_invariance(KV_INT8, 1, 24, 0);
}

/* NaN in every token that no row sees, in both forms. */
static void poison(struct device_pages *pages, uint32_t first, uint32_t limit)
{
    struct kv_shape shape = pages->view.shape;
    size_t bytes = kv_page_bytes(KV_F16, shape);
    float nan[KV_MAX_HEAD_DIM];

    for (uint32_t d = 0; d < shape.head_dim; d++)
        nan[d] = NAN;
    for (uint32_t p = 0; p < PAGES; p++)
        for (int form = 0; form < 2; form++) {
            void *page = form ? pages->host.sealed[p] : pages->host.tail[p];
            const void *to = form ? pages->sealed[p] : pages->tail[p];
            for (uint32_t t = 0; t < PAGE_TOKENS; t++)
                if (p * PAGE_TOKENS + t < first || p * PAGE_TOKENS + t >= limit) {
                    kv_format_ops(KV_F16)->put_k(page, shape.head_dim, t, nan);
                    kv_format_ops(KV_F16)->put_v(page, shape.head_dim, t, nan);
                }
            assert_ok(device_upload(dev, (void *)(uintptr_t)to, page, bytes, err));
        }
}

static void what_no_row_sees_counts_for_nothing(void **state)
{
    static const uint32_t cases[][2] = {{1, 0},   {8, 0},    {65, 0},    {128, 100},    {129, 3},
                                        {300, 0}, {384, 70}, {END, 200}, {END - 1, 129}};
    float *q = kv_fixture_normals(3, 2 * 64);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint32_t d = 32; d <= 64; d += 32) {
            uint32_t n = cases[i][0], window = cases[i][1], limit[2] = {n, (n + 1) / 2};
            struct device_pages pages;
            device_pages_open(&pages, dev, (struct kv_shape){1, d}, PAGES, KV_F16, KV_F16, 8);
            struct attention_call c = {&pages.view, 1, q, limit, window};
            int n_rows = window > 0 ? 1 : 2;
            float *want = run(&c, 0, n_rows);
            poison(&pages, attention_first(n, window), n);
            float *got = run(&c, 0, n_rows);
            assert_memory_equal(want, got, (size_t)n_rows * d * sizeof *want);
            free(want);
            free(got);
            device_pages_close(&pages);
        }
    free(q);
}

/* A page whose numbers are all multiplied: K by k, V by v; and q so that scores stay of order 1. */
static void compare_scaled(enum kv_format format, float k_by, float v_by)
{
    enum { D = 64, N = PAGE_TOKENS * D };
    struct kv_shape shape = {1, D};
    size_t bytes = kv_page_bytes(format, shape);
    float *k = kv_fixture_normals(1, N), *v = kv_fixture_normals(2, N);
    float *q = kv_fixture_normals(3, D);
    void *page = mem_aligned(64, bytes);
    uint32_t limit[1] = {PAGE_TOKENS};

    for (int i = 0; i < N; i++) {
        k[i] *= k_by;
        v[i] *= v_by;
    }
    for (int i = 0; i < D; i++)
        q[i] /= k_by;
    kv_format_ops(format)->seal(page, D, k, v);
    const void *sealed = page, *there = device_data_copy(dev, page, bytes), *none = NULL;
    struct kv_view host = {shape, format, KV_F16, 1, &sealed, &none}, view = host;
    view.sealed = &there;
    struct attention_call on_host = {&host, 1, q, limit, 0}, c = {&view, 1, q, limit, 0};
    float *want = attention_call_run(NULL, &on_host, 0, 1), *got = run(&c, 0, 1);
    for (int i = 0; i < D; i++)
        assert_close(got[i] / v_by, want[i] / v_by, 1e-5);
    attention_call_drop(&on_host, want, 1);
    free(got);
    device_data_drop(dev, there, 0);
    free(k);
    free(v);
    free(q);
    free(page);
}

static void numbers_of_any_size_keep_their_precision(void **state)
{
    for (int format = KV_INT8; format <= KV_INT4; format++) {
        compare_scaled((enum kv_format)format, 1e-12f, 1e12f);
        compare_scaled((enum kv_format)format, 1e10f, 1e-15f);
        compare_scaled((enum kv_format)format, 1.0f, 1e-20f);
    }
    compare_scaled(KV_F16, 1e3f, 1e3f);
    compare_scaled(KV_F16, 1e-3f, 1e-3f);
}

/* One key outweighs all others by far more than e^88: its value is the answer. */
static void a_dominant_key_is_the_answer(void **state)
{
    float q[64], row[64], value[64];
    uint32_t limit[1] = {END};

    for (int d = 0; d < 64; d++) {
        q[d] = 30.0f;
        row[d] = 1000.0f;
        value[d] = (float)d - 7.0f;
    }
    for (uint32_t at = 3; at < END; at += 211) {
        uint32_t p = at / PAGE_TOKENS;
        struct device_pages pages;
        device_pages_open(&pages, dev, (struct kv_shape){1, 64}, PAGES, KV_F16, KV_F16, 21);
        bool sealed = kv_view_reads_sealed(&pages.host.view, p, END);
        void *page = sealed ? pages.host.sealed[p] : pages.host.tail[p];
        kv_format_ops(KV_F16)->put_k(page, 64, at % PAGE_TOKENS, row);
        kv_format_ops(KV_F16)->put_v(page, 64, at % PAGE_TOKENS, value);
        assert_ok(device_upload(dev, (void *)(uintptr_t)(sealed ? pages.sealed[p] : pages.tail[p]),
                                page, kv_page_bytes(KV_F16, pages.view.shape), err));
        struct attention_call c = {&pages.view, 1, q, limit, 0};
        float *got = run(&c, 0, 1);
        for (int d = 0; d < 64; d++)
            assert_close(got[d], value[d], 1e-6);
        free(got);
        device_pages_close(&pages);
    }
}

/* Pages before every row's window may be missing, and either form alone will do: page 2 is there
 * sealed, page 3 in both forms, page 4 as tail. */
static void only_what_is_read_must_be_there(void **state)
{
    uint32_t limit[2] = {END, END - 3};
    float *q = kv_fixture_normals(12, 2 * 64);

    for (int format = KV_F16; format <= KV_INT4; format++) {
        struct device_pages pages;
        device_pages_open(&pages, dev, (struct kv_shape){1, 64}, PAGES, KV_F16,
                          (enum kv_format)format, 4);
        const void *const *s = pages.host.view.sealed, *const *t = pages.host.view.tail;
        const void *sealed[PAGES] = {NULL, NULL, s[2], s[3], NULL};
        const void *tail[PAGES] = {NULL, NULL, NULL, t[3], t[4]};
        const void *sealed_there[PAGES] = {NULL, NULL, pages.sealed[2], pages.sealed[3], NULL};
        const void *tail_there[PAGES] = {NULL, NULL, NULL, pages.tail[3], pages.tail[4]};
        struct kv_view on_host = pages.host.view, view = pages.view;
        on_host.sealed = sealed, on_host.tail = tail;
        view.sealed = sealed_there, view.tail = tail_there;
        struct attention_call host = {&on_host, 1, q, limit, 260}, c = {&view, 1, q, limit, 260};
        float *want = attention_call_run(NULL, &host, 0, 2), *got = run(&c, 0, 2);
        assert_true(attention_call_worst(want, got, 2 * 64) <= tolerance);
        attention_call_drop(&host, want, 2);
        free(got);
        device_pages_close(&pages);
    }
    free(q);
}

static void impossible_views_are_refused(void **state)
{
    struct device_pages pages;
    uint32_t limit[1] = {END + 1};
    struct err words = {{0}};

    device_pages_open(&pages, dev, (struct kv_shape){2, 16}, PAGES, KV_F16, KV_INT8, 4);
    float *q = device_data_copy(dev, limit, 4), *out = device_data_output(dev, 4);
    struct attention_args a = {out, q, limit, 1, 4, 1.0f, &pages.view, 0};
    assert_int_equal(device_ops(dev)->attention(dev, &a, &words), ST_INVALID);
    limit[0] = 0;
    assert_int_equal(device_ops(dev)->attention(dev, &a, &words), ST_INVALID);
    limit[0] = END;
    a.n_heads = 3;
    assert_int_equal(device_ops(dev)->attention(dev, &a, &words), ST_INVALID);
    a.n_rows = 0;
    assert_ok(device_ops(dev)->attention(dev, &a, err));
    device_data_drop(dev, q, 0);
    device_data_close(dev, out, 4, limit);
    device_pages_close(&pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_and_shape_matches_the_reference),
        cmocka_unit_test(every_window_matches_the_reference),
        cmocka_unit_test(many_rows_match_the_reference),
        cmocka_unit_test(every_length_of_splits_matches_the_reference),
        cmocka_unit_test(a_row_has_the_same_bits_in_any_call),
        cmocka_unit_test(what_no_row_sees_counts_for_nothing),
        cmocka_unit_test(numbers_of_any_size_keep_their_precision),
        cmocka_unit_test(a_dominant_key_is_the_answer),
        cmocka_unit_test(only_what_is_read_must_be_there),
        cmocka_unit_test(impossible_views_are_refused),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
