#include "tests/cuda/device_pages.h"

static struct device *dev;

enum { PAGES = 6, LIMIT = 700 };

/* Chunks from the first_of_8-th eighth on. */
static void check(enum kv_format sealed, uint32_t chunk, int group, uint32_t first_of_8)
{
    struct kv_shape shape = {2, 40};
    struct device_pages f;
    uint32_t n_chunks = LIMIT / chunk, first = n_chunks * first_of_8 / 8;
    size_t bytes = (size_t)2 * n_chunks * sizeof(float);
    float *want = kv_guard_open(bytes), *got = kv_guard_open(bytes);
    float *q = kv_fixture_normals(6, (size_t)2 * (size_t)group * shape.head_dim);

    device_pages_open(&f, dev, shape, PAGES, KV_F16, sealed, 13);
    struct chunk_score_args a = {want,  q,        2 * group, 0.17f, &f.host.view,
                                 LIMIT, n_chunks, chunk,     first};
    chunk_score_ref(&a);
    a.score = got;
    a.view = &f.view;
    assert_ok(device_ops(dev)->chunk_score(dev, &a, err));
    for (uint32_t i = 0; i < 2 * n_chunks; i++) {
        assert_true(i % n_chunks >= first || got[i] == 0.0f);
        /* f32 sums of 40 products; scores reach 30 with the outlier channels. */
        assert_close(got[i], want[i], 3e-5);
    }
    kv_guard_close(want, bytes);
    kv_guard_close(got, bytes);
    free(q);
    device_pages_close(&f);
}

static void every_format_chunk_and_group_matches_the_reference(void **state)
{
    static const uint32_t chunks[] = {1, 3, 8, 63, 64, 100, 128, 129, 350, 700};

    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        check((enum kv_format)(i % KV_FORMAT_COUNT), chunks[i], 1 + (int)i, 0);
    for (int sealed = 0; sealed < KV_FORMAT_COUNT; sealed++)
        check((enum kv_format)sealed, 8, 1 + 4 * (sealed % 2), 0);
}

static void chunks_before_the_window_score_nothing(void **state)
{
    static const uint32_t chunks[] = {3, 8, 100};

    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        for (uint32_t eighth = 1; eighth <= 8; eighth += i + 1)
            check(eighth % 2 == 0 ? KV_F16 : KV_INT8, chunks[i], 3, eighth);
}

static void missing_pages_count_only_where_they_are_read(void **state)
{
    struct device_pages f;
    float score[2 * 80], *q = kv_fixture_normals(6, 64);
    struct err words = {{0}};
    const void *page[4];

    device_pages_open(&f, dev, (struct kv_shape){2, 32}, 5, KV_F16, KV_INT8, 13);
    struct chunk_score_args a = {score, q, 2, 0.17f, &f.view, 640, 80, 8, 32};
    for (int i = 0; i < 2; i++) {
        page[2 * i] = f.sealed[i];
        page[2 * i + 1] = f.tail[i];
        f.sealed[i] = f.tail[i] = NULL;
    }
    assert_ok(device_ops(dev)->chunk_score(dev, &a, err));
    a.first_chunk = 31;
    assert_int_equal(device_ops(dev)->chunk_score(dev, &a, &words), ST_INVALID);
    a.n_chunks = 0;
    a.first_chunk = 0;
    assert_ok(device_ops(dev)->chunk_score(dev, &a, err));
    for (int i = 0; i < 2; i++) {
        f.sealed[i] = page[2 * i];
        f.tail[i] = page[2 * i + 1];
    }
    free(q);
    device_pages_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_chunk_and_group_matches_the_reference),
        cmocka_unit_test(chunks_before_the_window_score_nothing),
        cmocka_unit_test(missing_pages_count_only_where_they_are_read),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
