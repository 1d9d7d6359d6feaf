#include "kernels/chunk_score.h"

#include "kernels/device.h"
#include "kernels/ops.h"
#include "tests/kernels/kv_fixture.h"
#include "tests/test_helpers.h"

/* Chunks from the first_of_8-th eighth on. */
static void compare(enum kv_format sealed, uint32_t chunk, int group, bool portable,
                    uint32_t first_of_8)
{
    enum { PAGES = 6, LIMIT = 700 };
    struct kv_shape shape = {2, 32};
    struct device_options opt = {.n_threads = 2, .portable = portable};
    struct kv_fixture f;
    struct device *dev = NULL;
    struct err err = {{0}};
    uint32_t n_chunks = LIMIT / chunk, first = n_chunks * first_of_8 / 8;
    size_t bytes = (size_t)2 * n_chunks * sizeof(float);
    float *want = kv_guard_open(bytes), *got = kv_guard_open(bytes);
    float *q = kv_fixture_normals(6, (size_t)2 * (size_t)group * 32);

    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    kv_fixture_open(&f, shape, PAGES, KV_F16, sealed, 13);
    struct chunk_score_args a = {want, q, 2 * group, 0.17f, &f.view, LIMIT, n_chunks, chunk, first};
    chunk_score_ref(&a);
    a.score = got;
    assert_int_equal(device_ops(dev)->chunk_score(dev, &a, &err), ST_OK);
    for (uint32_t g = 0; g < 2; g++) {
        double sum = 0.0;
        for (uint32_t c = 0; c < n_chunks; c++) {
            sum += (double)got[g * n_chunks + c];
            /* Scores reach 30 with the outlier channels; int8 and int4 round q
             * times scale to 2^-16 of its largest. */
            assert_true(c >= first || got[g * n_chunks + c] == 0.0f);
            assert_close(got[g * n_chunks + c], want[g * n_chunks + c],
                         kv_format_is_quantized(sealed) ? 3e-3 : 3e-5);
        }
        assert_close(sum, first < n_chunks ? 1.0 : 0.0, 1e-5);
    }
    kv_guard_close(want, bytes);
    kv_guard_close(got, bytes);
    free(q);
    kv_fixture_close(&f);
    device_close(dev);
}

static void every_format_chunk_and_group_matches_the_reference(void **state)
{
    const uint32_t chunks[] = {1, 3, 8, 100, 128, 129, 350, 700};
    for (int portable = 0; portable < 2; portable++)
        for (int sealed = 0; sealed < KV_FORMAT_COUNT; sealed++)
            for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
                compare((enum kv_format)sealed, chunks[i], 1 + (int)i, portable, 0);
    compare(KV_F16, 8, 70, false, 0);
}

static void chunks_before_the_window_score_nothing(void **state)
{
    const uint32_t chunks[] = {1, 3, 8, 100, 128};
    for (int portable = 0; portable < 2; portable++)
        for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
            for (uint32_t eighth = 1; eighth <= 8; eighth++)
                compare(eighth % 2 == 0 ? KV_F16 : KV_INT8, chunks[i], 3, portable, eighth);
}

static void pages_before_the_window_may_be_missing(void **state)
{
    struct device_options opt = {.n_threads = 1};
    struct kv_fixture f;
    struct device *dev = NULL;
    struct err err = {{0}};
    float score[2 * 80], *q = kv_fixture_normals(6, 64);

    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    kv_fixture_open(&f, (struct kv_shape){2, 32}, 5, KV_F16, KV_INT8, 13);
    struct chunk_score_args a = {score, q, 2, 0.17f, &f.view, 640, 80, 8, 32};
    void *page[4] = {f.sealed[0], f.tail[0], f.sealed[1], f.tail[1]};
    f.sealed[0] = f.tail[0] = f.sealed[1] = f.tail[1] = NULL;
    assert_int_equal(device_ops(dev)->chunk_score(dev, &a, &err), ST_OK);
    a.first_chunk = 31;
    assert_int_equal(device_ops(dev)->chunk_score(dev, &a, &err), ST_INVALID);
    a.first_chunk = 81;
    assert_int_equal(device_ops(dev)->chunk_score(dev, &a, &err), ST_INVALID);
    f.sealed[0] = page[0];
    f.tail[0] = page[1];
    f.sealed[1] = page[2];
    f.tail[1] = page[3];
    free(q);
    kv_fixture_close(&f);
    device_close(dev);
}

static void impossible_chunks_are_refused(void **state)
{
    struct device_options opt = {.n_threads = 1};
    struct kv_fixture f;
    struct device *dev = NULL;
    struct err err = {{0}};
    float score[400], *q = kv_fixture_normals(6, 64);

    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    kv_fixture_open(&f, (struct kv_shape){2, 32}, 2, KV_F16, KV_INT8, 13);
    struct chunk_score_args a = {score, q, 2, 0.17f, &f.view, 200, 26, 8, 0};
    assert_int_equal(device_ops(dev)->chunk_score(dev, &a, &err), ST_INVALID);
    a.n_chunks = 25;
    assert_int_equal(device_ops(dev)->chunk_score(dev, &a, &err), ST_OK);
    a.chunk = 0;
    assert_int_equal(device_ops(dev)->chunk_score(dev, &a, &err), ST_INVALID);
    a.chunk = 1;
    a.n_chunks = 0;
    assert_int_equal(device_ops(dev)->chunk_score(dev, &a, &err), ST_OK);
    free(q);
    kv_fixture_close(&f);
    device_close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_chunk_and_group_matches_the_reference),
        cmocka_unit_test(chunks_before_the_window_score_nothing),
        cmocka_unit_test(pages_before_the_window_may_be_missing),
        cmocka_unit_test(impossible_chunks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
