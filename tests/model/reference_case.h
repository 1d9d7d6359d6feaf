/*
 * reference_case.h - one checkpoint of tests/fixtures/checkpoints, run on f32 pages, against the
 * logits that transformers gives for it.
 */
#ifndef TESTS_MODEL_REFERENCE_CASE_H
#define TESTS_MODEL_REFERENCE_CASE_H

#include "tests/model/page_cache.h"
#include "tests/model/reference_files.h"

/* Our logits for `ids`: all but the last REFERENCE_DECODED in one pass, those one by one. */
static inline void reference_logits(const struct reference_case *rc, const char *spelling,
                                    const struct npy *ids, float *logits)
{
    struct device_options opt = {.n_threads = 2};
    struct temp_dir dir = reference_checkpoint(rc, spelling);
    uint32_t n = (uint32_t)ids->n_rows, n_prompt = n - REFERENCE_DECODED, n_vocab;
    struct page_cache cache;
    struct device *dev = NULL;
    struct model *model = NULL;
    struct err err = {{0}};

    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    if (model_open(&model, dev, dir.path, &err) != ST_OK)
        fail_msg("%s/%s: %s", rc->name, spelling, err.text);
    n_vocab = model_config(model)->n_vocab;
    assert_int_equal(page_cache_open(&cache, dev, model, rc->pos0, n, &err), ST_OK);
    assert_int_equal(page_cache_run(&cache, ids->i32, 0, n_prompt, logits, &err), ST_OK);
    for (uint32_t i = n_prompt; i < n; i++)
        assert_int_equal(
            page_cache_run(&cache, ids->i32 + i, i, 1, logits + (size_t)i * n_vocab, &err), ST_OK);
    page_cache_close(&cache);
    model_close(model);
    device_close(dev);
    temp_dir_remove(&dir);
}

/* Every spelling of the case gives the reference's logits. */
static inline void reference_check(const struct reference_case *rc)
{
    static const char *const spelling[] = {"config.json", "config_old.json", "config_both.json"};
    struct npy ids, want;
    float *logits;

    reference_npy(&ids, rc->name, "ids.npy", "<i4");
    reference_npy(&want, rc->name, "logits.npy", "<f4");
    assert_int_equal(ids.n_rows, want.n_rows);
    assert_true(ids.n_rows > REFERENCE_DECODED);
    logits = mem_array(want.n_rows * want.n_cols, sizeof *logits);
    for (size_t i = 0; i < sizeof spelling / sizeof spelling[0]; i++) {
        char path[512];
        double worst;
        snprintf(path, sizeof path, REFERENCE_DIR "/%s/%s", rc->name, spelling[i]);
        if (i > 0 && access(path, R_OK) != 0)
            continue;
        reference_logits(rc, spelling[i], &ids, logits);
        worst = reference_difference(logits, want.f32, want.n_rows * want.n_cols);
        print_message("%s/%s: largest difference %.1e\n", rc->name, spelling[i], worst);
        if (!(worst <= reference_tol))
            fail_msg("%s/%s: off by %.3g, at most %.1g", rc->name, spelling[i], worst,
                     reference_tol);
    }
    free(logits);
    npy_release(&ids);
    npy_release(&want);
}

static inline void reference_check_all(const struct reference_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        reference_check(&cases[i]);
}

#define REFERENCE_CHECK(...)                                                                       \
    do {                                                                                           \
        static const struct reference_case cases_[] = {__VA_ARGS__};                               \
        reference_check_all(cases_, sizeof cases_ / sizeof cases_[0]);                             \
    } while (0)

#endif
