#include "tests/cuda/device_pages.h"

static struct device *dev;

enum { PAGES = 6, OUT_PAGES = 3, LIMIT = 700 }; /* pages up to 3 are read sealed, 4 and 5 not */

/* Single tokens from anywhere, or chunks of 8 with every third one missing. */
static void choose(uint32_t *token, uint32_t n_heads, uint32_t n, bool chunks)
{
    for (uint32_t h = 0; h < n_heads; h++)
        for (uint32_t i = 0; i < n; i++)
            token[h * n + i] = chunks ? (i / 8 * 3 / 2 + 5 * h) % 90 * 8 + i % 8
                                      : (h * n + i) * 389 % (PAGES * PAGE_TOKENS - 20);
}

static void check(enum kv_format tail, enum kv_format sealed, enum kv_format to, uint32_t n_tokens,
                  uint32_t first_slot, bool chunks)
{
    struct kv_shape shape = {2, 40};
    struct device_pages f;
    size_t bytes = kv_page_bytes(to, shape);
    uint32_t *token = mem_array((size_t)2 * n_tokens, sizeof *token);
    void *want[OUT_PAGES], *got[OUT_PAGES];

    device_pages_open(&f, dev, shape, PAGES, tail, sealed, 31);
    choose(token, 2, n_tokens, chunks);
    device_pages_outputs(dev, want, got, OUT_PAGES, bytes);
    struct kv_gather_args a = {want, to, &f.host.view, LIMIT, token, (int)n_tokens, first_slot};
    kv_gather_ref(&a);
    a.page = got;
    a.view = &f.view;
    assert_ok(device_ops(dev)->kv_gather(dev, &a, err));
    device_pages_compare(dev, want, got, OUT_PAGES, bytes);
    device_pages_close(&f);
    free(token);
}

static void tokens_are_gathered_from_any_mix(void **state)
{
    for (int sealed = 0; sealed < KV_FORMAT_COUNT; sealed++) {
        check(KV_F16, (enum kv_format)sealed, KV_F16, 200, 61, false);
        check(KV_F32, (enum kv_format)sealed, KV_F16, 130, 0, false);
        check(KV_F16, (enum kv_format)sealed, KV_F32, 41, 3, false);
    }
}

static void whole_chunks_and_a_few_tokens_too(void **state)
{
    for (int sealed = 0; sealed < KV_FORMAT_COUNT; sealed++) {
        check(KV_F16, (enum kv_format)sealed, KV_F16, 200, 0, true);
        check(KV_F16, (enum kv_format)sealed, KV_F16, 96, 124, true);
        check(KV_F16, (enum kv_format)sealed, KV_F16, 96, 125, true);
        check(KV_F16, (enum kv_format)sealed, KV_F16, 9, 250, false);
        check(KV_F16, (enum kv_format)sealed, KV_F16, 1, 383, false);
        check(KV_F16, (enum kv_format)sealed, KV_F16, 40, 127, false);
    }
}

static void a_format_that_cannot_take_single_tokens_is_refused(void **state)
{
    struct kv_view view = {.shape = {1, 8}};
    struct kv_gather_args a = {.format = KV_INT4, .view = &view, .n_tokens = 1};
    struct err words = {{0}};

    assert_int_equal(device_ops(dev)->kv_gather(dev, &a, &words), ST_INVALID);
    a.format = KV_F16;
    a.n_tokens = 0;
    assert_ok(device_ops(dev)->kv_gather(dev, &a, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_gathered_from_any_mix),
        cmocka_unit_test(whole_chunks_and_a_few_tokens_too),
        cmocka_unit_test(a_format_that_cannot_take_single_tokens_is_refused),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
