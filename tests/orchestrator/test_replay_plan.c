/*
 * Replayed acceptance in an experiment: which trial gets which mean, what is
 * refused, and that every heading says it.
 */
#include "tests/orchestrator/sample.h"

#include "orchestrator/heading.h"
#include "orchestrator/replay_plan.h"

#define HEAD "target: t\ndraft: d\ndataset: demo\ndocuments: 1\nseeds: 1\n"

static struct experiment *parse(const char *text)
{
    struct experiment *e = NULL;
    struct err err = {{0}};

    if (experiment_parse(&e, "f.yaml", text, strlen(text), NULL, 0, &err) != ST_OK)
        fail_msg("%s", err.text);
    return e;
}

/* Mean and rate that the trial of `method` at `prefill` is told. */
static void check_trial(const struct experiment *e, enum method method, uint32_t prefill,
                        double mean, double rate)
{
    struct matrix *m = sample_matrix((struct experiment *)(uintptr_t)e, 32);
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->n_trials; i++) {
        struct msg_trial t = matrix_message(&m->trial[i], 1);
        if (t.method != (uint32_t)method || t.n_prompt != prefill)
            continue;
        assert_close(t.replay_accepted, mean, 0);
        assert_close(t.replay_draft_rate, rate, 0);
        n++;
    }
    assert_int_equal(n, 1);
    matrix_close(m);
}

static void a_trial_is_told_the_mean_of_its_point(void **state)
{
    struct experiment *e = parse(
        HEAD "prefill: [100, 200]\nreplay_acceptance: {vanilla_specdec: 0.5, mspeckv: [3, 4.5], "
             "mspeckv_kv_quant: {200: 6.25, 300: 1, 100: 7}, draft_rate: 0.75}\n");

    check_trial(e, METHOD_BASELINE, 100, 0, 0);
    check_trial(e, METHOD_VANILLA_SPECDEC, 100, 0.5, 0);
    check_trial(e, METHOD_VANILLA_SPECDEC, 200, 0.5, 0);
    check_trial(e, METHOD_MSPECKV, 100, 3, 0.75);
    check_trial(e, METHOD_MSPECKV, 200, 4.5, 0.75);
    check_trial(e, METHOD_MSPECKV_KV_QUANT, 100, 7, 0.75);
    check_trial(e, METHOD_MSPECKV_KV_QUANT, 200, 6.25, 0.75);
    experiment_free(e);
}

static void without_the_key_nothing_is_forced(void **state)
{
    struct experiment *e = parse(HEAD "prefill: 100\n");

    assert_false(replay_plan_any(e));
    for (int m = 0; m < METHOD_COUNT; m++)
        check_trial(e, (enum method)m, 100, 0, 0);
    experiment_free(e);
}

static void what_is_wrong_with_it_is_said(void **state)
{
    static const struct {
        const char *text, *words;
    } wrong[] = {
        {"replay_acceptance: 3\n",
         "f.yaml:7:20: replay_acceptance is one value; a mapping would be right"},
        {"replay_acceptance: {mspeckv: 3}\n",
         "f.yaml:7:20: replay_acceptance says nothing of vanilla_specdec, which study f runs; "
         "vanilla_specdec: X (accepted tokens of a verification) would be right"},
        {"methods: [mspeckv]\nreplay_acceptance: {baseline: 3}\n", "unknown key \"baseline\""},
        {"methods: [mspeckv]\nreplay_acceptance: {mspeckv: 9}\n", "f.yaml:8:30: mspeckv is 9;"},
        {"methods: [mspeckv]\nreplay_acceptance: {mspeckv: 0}\n", "f.yaml:8:30: mspeckv is 0;"},
        {"methods: [mspeckv]\ngamma: [2, 4]\nprefill: 9\nreplay_acceptance: {mspeckv: 3}\n", ""},
        {"methods: [mspeckv]\nreplay_acceptance: {mspeckv: [1, 2]}\n", "lists 2 values"},
        {"methods: [mspeckv]\nreplay_acceptance: {mspeckv: {200: 1}}\n",
         "says nothing of prefill 100, which study f runs"},
        {"methods: [mspeckv]\nreplay_acceptance: {mspeckv: {x: 1}}\n", "mspeckv is x;"},
        {"methods: [mspeckv]\nreplay_acceptance: {mspeckv: 1, draft_rate: 1.5}\n",
         "draft_rate is 1.5"},
        {"methods: [mspeckv]\nignore_eos: false\nreplay_acceptance: {mspeckv: 1}\n",
         "ignore_eos: true would be right"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[400];
        struct experiment *e = NULL;
        struct err err = {{0}};
        snprintf(text, sizeof text, HEAD "prefill: 100\n%s", wrong[i].text);
        assert_int_equal(experiment_parse(&e, "f.yaml", text, strlen(text), NULL, 0, &err),
                         ST_INVALID);
        if (strstr(err.text, wrong[i].words) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", wrong[i].words, err.text);
    }
}

static void every_heading_says_so(void **state)
{
    struct experiment *e =
        parse(HEAD "prefill: 100\nmethods: [mspeckv]\nreplay_acceptance: {mspeckv: 3}\n");
    struct summary *s = NULL;
    char words[HEADING_BYTES];

    summary_open(&s, e, NULL, 0, 0);
    heading_trials(s, words);
    assert_non_null(strstr(words, "; replayed acceptance"));
    heading_fixed(&e->study[0], words);
    assert_non_null(strstr(words, ", replayed acceptance"));
    summary_close(s);
    experiment_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trial_is_told_the_mean_of_its_point),
        cmocka_unit_test(without_the_key_nothing_is_forced),
        cmocka_unit_test(what_is_wrong_with_it_is_said),
        cmocka_unit_test(every_heading_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
