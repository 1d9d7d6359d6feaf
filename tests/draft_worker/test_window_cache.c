/*
 * The draft's cache: a prompt computed from where the window begins to matter
 * ends in the same state as one computed whole, and a rollback leaves no trace.
 */
#include "tests/model/tiny_checkpoint.h"

#include "draft_worker/prompts.h"

enum { SINKS = 5, WINDOW = 24, MAX_PROMPT = 400 };

static struct temp_dir checkpoint;
static struct device *dev;
static struct model *model;
static int32_t token[MAX_PROMPT + 200];

static struct window_cache *open_cache(uint32_t n_sinks)
{
    struct window_cache *c = NULL;

    assert_int_equal(window_cache_open(&c, dev, model, n_sinks, WINDOW, NULL), ST_OK);
    return c;
}

/* Tokens [from, to) in calls of n_rows; logits of the last token. */
static void run(struct window_cache *c, const int32_t *ids, uint32_t from, uint32_t to,
                uint32_t n_rows, float *logits)
{
    uint32_t pos[WINDOW_SLACK];

    while (from < to) {
        uint32_t n = to - from < n_rows ? to - from : n_rows;
        struct model_forward_args fwd = {.token = ids + from,
                                         .pos = pos,
                                         .n_rows = (int)n,
                                         .cache = window_cache_interface(c),
                                         .logits = logits,
                                         .logits_from = (int)n - 1};
        for (uint32_t i = 0; i < n; i++)
            pos[i] = from + i;
        assert_int_equal(model_forward(model, &fwd, NULL), ST_OK);
        from += n;
    }
}

/* The next 40 tokens one by one from position n: their logits. */
static void go_on(struct window_cache *c, uint32_t n, float (*logits)[TINY_VOCAB])
{
    for (uint32_t i = 0; i < 40; i++)
        run(c, token, n + i, n + i + 1, 1, logits[i]);
}

static void a_prompt_from_where_it_matters_ends_like_the_whole_one(void **state)
{
    static float want[40][TINY_VOCAB], have[40][TINY_VOCAB];
    const uint32_t length[] = {1, 2, 4, 5, 6, 23, 24, 29, 30, 52, 53, 54, 64, 77, 128, 201, 399};

    for (uint32_t n_sinks = 0; n_sinks <= SINKS; n_sinks += SINKS) {
        for (uint32_t i = 0; i < sizeof length / sizeof *length; i++) {
            struct window_cache *whole = open_cache(n_sinks), *part = open_cache(n_sinks);
            struct msg_prefill prompt = {3, length[i], token};
            struct prompts set = {0};
            /* What another prompt left behind must not matter. */
            run(part, token + 100, 0, 130, 64, NULL);
            run(whole, token, 0, length[i], 1, NULL);
            assert_int_equal(prompts_add(&set, model, part, &prompt, NULL), ST_OK);
            run(part, token + 50, 0, 90, 64, NULL);
            assert_int_equal(window_cache_restore(part, prompts_find(&set, 3)->state, NULL), ST_OK);
            go_on(whole, length[i], want);
            go_on(part, length[i], have);
            assert_memory_equal(want, have, sizeof want);
            prompts_release(&set);
            window_cache_close(whole);
            window_cache_close(part);
        }
    }
}

/* The bound is sharp enough to save work: a long prompt is not computed whole. */
static void only_the_end_of_a_long_prompt_is_needed(void **state)
{
    struct window_cache *c = open_cache(SINKS);

    assert_int_equal(window_cache_first_needed(c, 399), 399 - TINY_LAYERS * WINDOW);
    assert_int_equal(window_cache_first_needed(c, 40), SINKS);
    assert_int_equal(window_cache_first_needed(c, 3), 3);
    window_cache_close(c);
}

static void rows_that_were_wrong_leave_no_trace(void **state)
{
    static float want[40][TINY_VOCAB], have[40][TINY_VOCAB];

    for (uint32_t n = 1; n < 200; n += 22) {
        struct window_cache *straight = open_cache(SINKS), *back = open_cache(SINKS);
        run(straight, token, 0, n, 64, NULL);
        run(back, token, 0, n, 64, NULL);
        /* As far as a proposal goes: 33 wrong tokens, one by one and at once. */
        run(back, token + 31, n, n + 33, n % 2 == 0 ? 33 : 1, NULL);
        go_on(straight, n, want);
        go_on(back, n, have);
        assert_memory_equal(want, have, sizeof want);
        window_cache_close(straight);
        window_cache_close(back);
    }
}

static void rows_at_once_and_one_by_one_are_the_same(void **state)
{
    for (uint32_t n_rows = 2; n_rows <= WINDOW_SLACK; n_rows += 31) {
        struct window_cache *one = open_cache(SINKS), *many = open_cache(SINKS);
        float want[TINY_VOCAB], have[TINY_VOCAB];
        run(one, token, 0, 300, 1, want);
        run(many, token, 0, 300, n_rows, have);
        assert_memory_equal(want, have, sizeof want);
        window_cache_close(one);
        window_cache_close(many);
    }
}

/* The same weights as a Mistral whose own window is the shorter one, and as a Llama that is given
 * that window: one and the same. */
static void the_models_own_window_bounds_the_drafts(void **state)
{
    struct tiny kind = {.seed = 6, .architecture = "MistralForCausalLM", .window = 10};
    struct temp_dir dir = temp_dir_make();
    struct model *all = model, *windowed = NULL;
    float want[40][TINY_VOCAB], have[40][TINY_VOCAB];
    struct window_cache *own = NULL, *given = NULL;

    tiny_make(&kind);
    tiny_write(&kind, &dir);
    assert_int_equal(model_open(&windowed, dev, dir.path, NULL), ST_OK);
    kind.architecture = NULL;
    kind.window = 0;
    tiny_write_config(&kind, &dir);
    assert_int_equal(model_open(&model, dev, dir.path, NULL), ST_OK);
    assert_int_equal(window_cache_open(&given, dev, model, SINKS, 10, NULL), ST_OK);
    run(given, token, 0, 100, 7, NULL);
    go_on(given, 100, want);
    window_cache_close(given);
    model_close(model);
    model = windowed;
    own = open_cache(SINKS);
    run(own, token, 0, 100, 7, NULL);
    go_on(own, 100, have);
    assert_memory_equal(want, have, sizeof want);
    window_cache_close(own);
    model_close(windowed);
    model = all;
    tiny_release(&kind);
    temp_dir_remove(&dir);
}

static void prompts_are_found_replaced_and_forgotten(void **state)
{
    struct window_cache *c = open_cache(SINKS);
    struct prompts set = {0};
    struct err err = {{0}};
    int32_t bad = TINY_VOCAB;

    for (uint32_t i = 0; i < PROMPTS_MAX; i++)
        assert_int_equal(
            prompts_add(&set, model, c, &(struct msg_prefill){i, 1 + i % 7, token}, NULL), ST_OK);
    assert_int_equal(prompts_add(&set, model, c, &(struct msg_prefill){99, 3, token}, &err),
                     ST_NO_SPACE);
    assert_int_equal(prompts_add(&set, model, c, &(struct msg_prefill){5, 9, token}, NULL), ST_OK);
    assert_int_equal(prompts_find(&set, 5)->n_tokens, 9);
    prompts_forget(&set, 5);
    prompts_forget(&set, 5);
    assert_null(prompts_find(&set, 5));
    assert_int_equal(set.n_items, PROMPTS_MAX - 1);
    assert_int_equal(prompts_add(&set, model, c, &(struct msg_prefill){5, 0, token}, &err),
                     ST_INVALID);
    assert_int_equal(prompts_add(&set, model, c, &(struct msg_prefill){5, 1, &bad}, &err),
                     ST_CORRUPT);
    assert_null(prompts_find(&set, 5));
    prompts_release(&set);
    window_cache_close(c);
}

static int open_model(void **state)
{
    const struct device_options opt = {.n_threads = 1};
    struct tiny tiny = {.seed = 5};

    checkpoint = temp_dir_make();
    tiny_make(&tiny);
    tiny_write(&tiny, &checkpoint);
    tiny_release(&tiny);
    for (uint32_t i = 0; i < sizeof token / sizeof *token; i++)
        token[i] = (int32_t)((i * i * 7 + i / 3 + 3) % TINY_VOCAB);
    assert_int_equal(device_open(&dev, "cpu:0", &opt, NULL), ST_OK);
    assert_int_equal(model_open(&model, dev, checkpoint.path, NULL), ST_OK);
    return 0;
}

static int close_model(void **state)
{
    model_close(model);
    device_close(dev);
    temp_dir_remove(&checkpoint);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_from_where_it_matters_ends_like_the_whole_one),
        cmocka_unit_test(only_the_end_of_a_long_prompt_is_needed),
        cmocka_unit_test(rows_that_were_wrong_leave_no_trace),
        cmocka_unit_test(rows_at_once_and_one_by_one_are_the_same),
        cmocka_unit_test(the_models_own_window_bounds_the_drafts),
        cmocka_unit_test(prompts_are_found_replaced_and_forgotten),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
