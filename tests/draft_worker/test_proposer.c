/*
 * The proposer: what lies in the slab is the law its tokens were drawn from, and
 * a verdict moves it on, or is refused.
 */
#include "tests/model/tiny_checkpoint.h"

#include "draft_worker/prompts.h"
#include "draft_worker/proposer.h"
#include "kernels/accept.h"
#include "kernels/density.h"

enum { N_PROMPT = 60, GEN = 40, WINDOW = 24, SINKS = 4, PAGES = 2 };

static struct temp_dir checkpoint[2];
static struct device *dev;
static struct model *draft, *target;
static struct window_cache *window;
static int32_t prompt[N_PROMPT];
static uint8_t memory[1 << 18];
static float slab[MSG_MAX_ROWS][TINY_VOCAB];
static uint64_t prompt_hash;

static struct msg_begin begin_of(enum acceptance acceptance, bool middle)
{
    return (struct msg_begin){.seq = 9,
                              .prompt = 1,
                              .gamma = 6,
                              .gamma_draft = 2,
                              .gen_len = GEN,
                              .temperature = 1.1,
                              .top_p = 0.95,
                              .seed = 4,
                              .acceptance = acceptance,
                              .base_pos = N_PROMPT,
                              .next_token = 7,
                              .prefix_hash = msg_prefix_hash(prompt_hash, 7),
                              .n_selected = middle ? 60 : 0,
                              .retrieval_pages = middle ? PAGES : 0,
                              .retrieval_format = KV_F16};
}

static struct middle_cache *open_middle(const struct msg_begin *b)
{
    struct middle_cache_args args = {.dev = dev,
                                     .model = target,
                                     .memory = memory,
                                     .memory_bytes = sizeof memory,
                                     .format = KV_F16,
                                     .n_prompt = N_PROMPT,
                                     .n_selected = b->n_selected,
                                     .layer_pages = PAGES,
                                     .max_tokens = N_PROMPT + GEN + b->gamma + 1};
    struct middle_cache *middle = NULL;

    /* Any retrieval KV will do: zeros stand for the prompt. */
    memset(memory, 0, sizeof memory);
    assert_int_equal(middle_cache_open(&middle, &args, NULL), ST_OK);
    return middle;
}

static void rewind_window(void)
{
    struct prompts set = {0};
    struct msg_prefill ask = {1, N_PROMPT, prompt};

    assert_int_equal(prompts_add(&set, draft, window, &ask, NULL), ST_OK);
    prompts_release(&set);
}

static struct proposer *open_proposer(const struct msg_begin *b, struct middle_cache *middle)
{
    struct proposer_args args = {draft, window, target, middle, b, *slab};
    struct proposer *p = NULL;
    struct err err = {{0}};

    rewind_window();
    memset(slab, 0xff, sizeof slab); /* NaN */
    if (proposer_open(&p, &args, &err) != ST_OK)
        fail_msg("%s", err.text);
    return p;
}

/* The small draft's density after prompt, pending token and ids, by a cache of
 * its own. */
static void draft_law(const int32_t *ids, uint32_t n, float *q)
{
    const struct density_params law = {1.1, 0.95};
    int32_t all[N_PROMPT + GEN];
    uint32_t order[TINY_VOCAB], pos[1];
    float logits[TINY_VOCAB];
    struct window_cache *c = NULL;

    memcpy(all, prompt, sizeof prompt);
    memcpy(all + N_PROMPT, ids, n * sizeof *ids);
    assert_int_equal(window_cache_open(&c, dev, draft, SINKS, WINDOW, NULL), ST_OK);
    for (uint32_t i = 0; i < N_PROMPT + n; i++) {
        struct model_forward_args fwd = {.token = all + i,
                                         .pos = pos,
                                         .n_rows = 1,
                                         .cache = window_cache_interface(c),
                                         .logits = logits};
        pos[0] = i;
        assert_int_equal(model_forward(draft, &fwd, NULL), ST_OK);
    }
    assert_int_equal(density_from_logits(q, logits, TINY_VOCAB, &law, order, NULL), ST_OK);
    window_cache_close(c);
}

/* Verify's side of a verdict that accepts n and goes on with next. */
static struct msg_verdict verdict_of(const struct msg_propose *prop, uint32_t n, int32_t next)
{
    struct msg_verdict v = {.seq = 9,
                            .n_accepted = n,
                            .next_token = next,
                            .base_pos = prop->base_pos + 1 + n,
                            .n_wanted = 6,
                            .prefix_hash = prop->prefix_hash};

    for (uint32_t i = 0; i < n; i++)
        v.prefix_hash = msg_prefix_hash(v.prefix_hash, prop->token[i]);
    v.prefix_hash = msg_prefix_hash(v.prefix_hash, next);
    return v;
}

static void the_slab_holds_the_law_that_each_token_was_drawn_from(void **state)
{
    const struct accept_rule own = {ACCEPT_REJECTION, 4, RNG_TEST, RNG_TEST, RNG_DRAFT};
    struct msg_begin b = begin_of(ACCEPT_REJECTION, false);
    struct proposer *p = open_proposer(&b, NULL);
    int32_t known[GEN] = {7};
    uint32_t n_known = 1;

    for (int round = 0; round < 5; round++) {
        uint32_t n_accepted = (uint32_t)(round * 2) % 6, n_wanted = 6 - (uint32_t)round % 2;
        struct msg_propose prop;
        float q[TINY_VOCAB];
        assert_int_equal(proposer_propose(p, n_wanted, &prop, NULL), ST_OK);
        assert_int_equal(prop.n_tokens, n_wanted);
        assert_true(prop.densities);
        assert_int_equal(prop.base_pos, N_PROMPT + n_known - 1);
        for (uint32_t i = 0; i < n_wanted; i++) {
            draft_law(known, n_known + i, q);
            assert_memory_equal(slab[i], q, sizeof q);
            assert_int_equal(prop.token[i],
                             accept_own(&own, q, TINY_VOCAB, N_PROMPT + n_known + i));
            known[n_known + i] = prop.token[i];
        }
        /* A rejection puts another token in; the draft must not see the old. */
        n_accepted = n_accepted < n_wanted ? n_accepted : n_wanted;
        n_known += n_accepted;
        known[n_known++] = 11;
        struct msg_verdict v = verdict_of(&prop, n_accepted, 11);
        assert_int_equal(proposer_verdict(p, &v, NULL), ST_OK);
    }
    proposer_close(p);
}

/* Each row is what the target's weights say in one pass over the tokens handed over. */
static void the_middle_level_hands_over_its_own_law(void **state)
{
    struct msg_begin b = begin_of(ACCEPT_REJECTION, true);
    struct middle_cache *middle = open_middle(&b);
    struct proposer *p = open_proposer(&b, middle);
    struct msg_propose prop;
    int32_t ids[8] = {7};
    uint32_t pos[8], order[TINY_VOCAB];
    const struct density_params law = {1.1, 0.95};
    float logits[8][TINY_VOCAB], want[TINY_VOCAB];
    struct model_forward_args fwd = {.token = ids,
                                     .pos = pos,
                                     .n_rows = 7,
                                     .cache = middle_cache_interface(middle),
                                     .logits = *logits};

    assert_int_equal(proposer_propose(p, 6, &prop, NULL), ST_OK);
    assert_int_equal(prop.n_tokens, 6);
    assert_true(prop.n_middle_steps >= 2 && prop.n_draft_accepted <= prop.n_draft_proposed);
    /* The target's weights over the same KV, all tokens in one pass. */
    memcpy(ids + 1, prop.token, 6 * sizeof *ids);
    for (uint32_t i = 0; i < 7; i++)
        pos[i] = N_PROMPT + i;
    assert_int_equal(model_forward(target, &fwd, NULL), ST_OK);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(density_from_logits(want, logits[i], TINY_VOCAB, &law, order, NULL),
                         ST_OK);
        assert_memory_equal(slab[i], want, sizeof want);
        assert_true(want[prop.token[i]] > 0);
    }
    proposer_close(p);
    middle_cache_close(middle);
}

/* Coupled: each token is the middle level's own choice, whatever the draft said. */
static void coupled_tokens_are_the_middle_levels_own(void **state)
{
    struct msg_propose first = {0};

    for (uint32_t k = 1; k <= 6; k++) {
        struct msg_begin b = begin_of(ACCEPT_COUPLED, true);
        struct msg_propose prop;
        struct middle_cache *middle;
        struct proposer *p;
        b.gamma_draft = k;
        middle = open_middle(&b);
        p = open_proposer(&b, middle);
        assert_int_equal(proposer_propose(p, 6, &prop, NULL), ST_OK);
        assert_false(prop.densities);
        if (k == 1)
            first = prop;
        assert_memory_equal(prop.token, first.token, 6 * sizeof *prop.token);
        proposer_close(p);
        middle_cache_close(middle);
    }
}

static void a_verdict_over_another_prefix_is_stale(void **state)
{
    for (int what = 0; what < 4; what++) {
        struct msg_begin b = begin_of(ACCEPT_REJECTION, false);
        struct proposer *p = open_proposer(&b, NULL);
        struct msg_propose prop;
        struct msg_verdict v;
        assert_int_equal(proposer_propose(p, 6, &prop, NULL), ST_OK);
        v = verdict_of(&prop, 3, 11);
        v.prefix_hash ^= what == 0;
        v.base_pos += what == 1;
        v.next_token += what == 2;
        v.n_accepted = what == 3 ? 7 : 3;
        assert_int_equal(proposer_verdict(p, &v, NULL), what == 3 ? ST_CORRUPT : ST_STALE);
        proposer_close(p);
    }
}

static void more_than_the_trial_has_is_never_proposed(void **state)
{
    struct msg_begin b = begin_of(ACCEPT_REJECTION, false);
    struct msg_propose prop;
    struct proposer *p;
    struct err err = {{0}};
    enum status st = ST_OK;
    uint32_t n = 1;

    b.gen_len = 12;
    p = open_proposer(&b, NULL);
    assert_int_equal(proposer_propose(p, 0, &prop, &err), ST_CORRUPT);
    assert_int_equal(proposer_propose(p, 7, &prop, &err), ST_CORRUPT);
    /* A verify that never says it is over is told so, within its own length. */
    while ((st = proposer_propose(p, 1, &prop, &err)) == ST_OK && n < 100) {
        struct msg_verdict v = verdict_of(&prop, 0, 3);
        assert_int_equal(proposer_verdict(p, &v, &err), ST_OK);
        n++;
    }
    assert_int_equal(st, ST_CORRUPT);
    assert_int_equal(n, 12);
    assert_non_null(strstr(err.text, "12 of 12"));
    proposer_close(p);
}

static void a_begin_out_of_range_is_refused(void **state)
{
    struct msg_begin good = begin_of(ACCEPT_REJECTION, true), bad[12];
    struct middle_cache *middle = open_middle(&good);

    for (int i = 0; i < 12; i++)
        bad[i] = good;
    bad[0].gamma = 0;
    bad[1].gamma = 33;
    bad[2].gamma_draft = 0;
    bad[3].gamma_draft = 33;
    bad[4].gen_len = 0;
    bad[5].gen_len = UINT32_MAX;
    bad[6].acceptance = 2;
    bad[7].temperature = NAN;
    bad[8].temperature = -0.1;
    bad[9].temperature = INFINITY;
    bad[10].top_p = 0;
    bad[11].top_p = NAN;
    for (int i = 0; i < 12; i++) {
        struct proposer_args args = {draft, window, target, middle, &bad[i], *slab};
        struct proposer *p = NULL;
        struct err err = {{0}};
        assert_int_equal(proposer_open(&p, &args, &err), ST_INVALID);
        assert_true(err.text[0] != '\0');
    }
    middle_cache_close(middle);
}

static void a_layout_that_does_not_fit_is_refused_before_anything_is_taken(void **state)
{
    const uint32_t pages[] = {UINT32_MAX, 1000, 0};

    for (int i = 0; i < 3; i++) {
        struct middle_cache_args args = {.dev = dev,
                                         .model = target,
                                         .memory = memory,
                                         .memory_bytes = sizeof memory,
                                         .format = KV_F16,
                                         .n_prompt = N_PROMPT,
                                         .n_selected = i == 2 ? 60 : UINT32_MAX,
                                         .layer_pages = pages[i],
                                         .max_tokens = N_PROMPT + 50};
        struct middle_cache *middle = NULL;
        struct err err = {{0}};
        assert_int_equal(middle_cache_open(&middle, &args, &err), ST_CORRUPT);
        assert_null(middle);
    }
}

static void open_one(struct model **out, struct temp_dir *dir, uint64_t seed)
{
    struct tiny tiny = {.seed = seed};

    *dir = temp_dir_make();
    tiny_make(&tiny);
    tiny_write(&tiny, dir);
    tiny_release(&tiny);
    assert_int_equal(model_open(out, dev, dir->path, NULL), ST_OK);
}

static int open_models(void **state)
{
    const struct device_options opt = {.n_threads = 1};

    assert_int_equal(device_open(&dev, "cpu:0", &opt, NULL), ST_OK);
    open_one(&draft, &checkpoint[0], 5);
    open_one(&target, &checkpoint[1], 6);
    assert_int_equal(window_cache_open(&window, dev, draft, SINKS, WINDOW, NULL), ST_OK);
    for (uint32_t i = 0; i < N_PROMPT; i++) {
        prompt[i] = (int32_t)((i * i * 3 + 1) % TINY_VOCAB);
        prompt_hash = msg_prefix_hash(prompt_hash, prompt[i]);
    }
    return 0;
}

static int close_models(void **state)
{
    window_cache_close(window);
    model_close(draft);
    model_close(target);
    device_close(dev);
    temp_dir_remove(&checkpoint[0]);
    temp_dir_remove(&checkpoint[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slab_holds_the_law_that_each_token_was_drawn_from),
        cmocka_unit_test(the_middle_level_hands_over_its_own_law),
        cmocka_unit_test(coupled_tokens_are_the_middle_levels_own),
        cmocka_unit_test(a_verdict_over_another_prefix_is_stale),
        cmocka_unit_test(more_than_the_trial_has_is_never_proposed),
        cmocka_unit_test(a_begin_out_of_range_is_refused),
        cmocka_unit_test(a_layout_that_does_not_fit_is_refused_before_anything_is_taken),
    };

    return cmocka_run_group_tests(tests, open_models, close_models);
}
