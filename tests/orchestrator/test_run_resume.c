#include "orchestrator/run_resume.h"

#include "common/mem.h"
#include "tests/orchestrator/sample.h"

/* The sample's plan and a result of every trial, all 100 tokens long. */
struct fixture {
    struct run_plan plan;
    struct results results;
    bool *done;
    uint32_t n_done;
};

static void open_fixture(struct fixture *f)
{
    const char *dir = TEST_SOURCE_DIR "/experiments/demo/target";
    struct err err = {{0}};

    *f = (struct fixture){.n_done = 0};
    f->plan.e = sample_parse(sample_text);
    f->plan.matrix = sample_matrix(f->plan.e, 8);
    f->plan.shape.n_vocab = 1024;
    assert_int_equal(tokenizer_open(&f->plan.tok, dir, &err), ST_OK);
    const struct prompt_source_args args = {.tok = f->plan.tok,
                                            .dataset = "demo",
                                            .n_documents = 2,
                                            .document_seed = 1,
                                            .n_tokens = 2000,
                                            .n_tokens_min = 1000};
    if (prompt_source_open(&f->plan.source, &args, &err) != ST_OK)
        fail_msg("%s", err.text);
    f->results = sample_results(f->plan.e, f->plan.matrix);
    for (uint32_t i = 0; i < f->results.n; i++)
        snprintf(f->results.result[i].document_name, sizeof f->results.result[i].document_name,
                 "%s", prompt_source_name(f->plan.source, f->results.result[i].document));
    f->done = mem_array(f->plan.matrix->n_trials, sizeof *f->done);
}

static void close_fixture(struct fixture *f)
{
    results_release(&f->results);
    run_plan_release(&f->plan);
    free(f->done);
}

static enum status match(struct fixture *f, struct err *err)
{
    memset(f->done, 0, f->plan.matrix->n_trials * sizeof *f->done);
    return run_resume_match(&f->results, &f->plan, f->done, &f->n_done, err);
}

static void what_is_ok_is_done_and_what_failed_is_not(void **state)
{
    struct fixture f;
    struct err err = {{0}};
    uint32_t n;

    open_fixture(&f);
    n = f.results.n;
    f.results.result[2].ok = false;
    f.results.n = n - 1; /* the last one is missing */
    assert_int_equal(match(&f, &err), ST_OK);
    assert_int_equal(f.n_done, n - 2);
    assert_true(f.done[1]);
    assert_false(f.done[2]);
    assert_false(f.done[n - 1]);
    f.results.n = n;
    close_fixture(&f);
}

/* Lines 2 and 3 become a failure and a later success of one trial, or two successes. */
static void a_success_may_follow_a_failure_and_nothing_a_success(void **state)
{
    struct fixture f;
    struct err err = {{0}};
    struct result kept;
    uint32_t n;

    open_fixture(&f);
    n = f.results.n;
    kept = f.results.result[2];
    f.results.result[2] = f.results.result[1];
    f.results.n = 3;
    f.results.result[1].ok = false;
    assert_int_equal(match(&f, &err), ST_OK);
    assert_int_equal(f.n_done, 2);
    assert_true(f.done[1]);
    f.results.result[1].ok = true;
    assert_int_equal(match(&f, &err), ST_CORRUPT);
    assert_non_null(strstr(err.text, "results.jsonl:3: trial 1 has finished on a line before"));
    f.results.result[2] = kept;
    f.results.n = n;
    close_fixture(&f);
}

/* Calls match on one changed result and takes the change back. */
static void expect_foreign(struct fixture *f, uint32_t line, const struct result *changed,
                           const char *field)
{
    struct result kept = f->results.result[line - 1];
    struct err err = {{0}};
    char words[64];
    enum status st;

    f->results.result[line - 1] = *changed;
    st = match(f, &err);
    f->results.result[line - 1] = kept;
    snprintf(words, sizeof words, "results.jsonl:%u: field \"%s\"", line, field);
    if (st != ST_CORRUPT || strstr(err.text, words) == NULL)
        fail_msg("\"%s\" was wanted, not %d and \"%s\"", words, st, err.text);
}

static void a_result_that_the_experiment_would_not_give_is_named(void **state)
{
    static int32_t strange[100] = {1024};
    struct fixture f;
    struct result r;
    struct use use;

    open_fixture(&f);
#define EXPECT(change, field)                                                                      \
    do {                                                                                           \
        r = f.results.result[4];                                                                   \
        change;                                                                                    \
        expect_foreign(&f, 5, &r, field);                                                          \
    } while (0)
    EXPECT(r.trial = f.plan.matrix->n_trials, "trial");
    EXPECT(r.method = (r.method + 1) % METHOD_COUNT, "method");
    EXPECT(r.document ^= 1, "document");
    EXPECT(r.document_name[0] = 'x', "document_name");
    EXPECT(r.seed = 99, "seed");
    EXPECT(r.setting.gen_len++, "setting");
    EXPECT(r.n_uses = 0, "cells");
    EXPECT((use = r.use[0], use.point ^= 1, r.use = &use, r.n_uses = 1), "cells");
    EXPECT(r.meas.n_tokens--, "tokens"); /* it did not end with EOS */
    EXPECT(r.meas.token = strange, "tokens");
    r = f.results.result[4];
    r.meas.n_tokens--;
    r.meas.eos = true;
    f.results.result[4] = r;
    struct err err = {{0}};
    assert_int_equal(match(&f, &err), ST_OK);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ok_is_done_and_what_failed_is_not),
        cmocka_unit_test(a_success_may_follow_a_failure_and_nothing_a_success),
        cmocka_unit_test(a_result_that_the_experiment_would_not_give_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
