/*
 * Expected numbers are worked out by hand from sample_rate; the working stands
 * beside them.
 */
#include "tests/orchestrator/sample.h"

#include "orchestrator/summary.h"

struct fixture {
    struct experiment *e;
    struct matrix *m;
    struct results r;
    struct summary *s;
};

static void set_up(struct fixture *f)
{
    f->e = sample_parse(sample_text);
    f->m = sample_matrix(f->e, 8);
    f->r = sample_results(f->e, f->m);
}

static void tear_down(struct fixture *f)
{
    summary_close(f->s);
    results_release(&f->r);
    matrix_close(f->m);
    experiment_free(f->e);
}

static void assert_spread(struct spread x, double mean, double std, uint32_t n)
{
    assert_close(x.mean, mean, 1e-9);
    assert_close(x.std, std, 1e-9);
    assert_int_equal(x.n, n);
}

static void throughput_is_the_mean_over_seeds_of_document_means(void **state)
{
    struct fixture f;
    set_up(&f);
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    const struct cell *c = summary_cell(f.s, 0, 0, METHOD_BASELINE);
    /* seeds: (10+20)/2 = 15, (20+30)/2 = 25; mean 20, std sqrt(((-5)^2+5^2)/1) = 7.0710678 */
    assert_spread(c->throughput, 20, sqrt(50.0), 2);
    /* ms/token: 100, 50 -> 75; 50, 33.333 -> 41.666; mean 58.333, std 33.333/sqrt(2) */
    assert_spread(c->latency, 175.0 / 3, 100.0 / 3 / sqrt(2.0), 2);
    assert_int_equal(c->n_ok, 4);
    assert_int_equal(c->accepted.n, 0); /* the baseline verifies nothing */
    tear_down(&f);
}

static void accepted_excludes_the_bonus_token(void **state)
{
    struct fixture f;
    set_up(&f);
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    /* 60 accepted in 10 rounds for seed 1, 70 for seed 2: 6 and 7, though each
     * round also gives one token more */
    assert_spread(summary_cell(f.s, 0, 0, METHOD_MSPECKV)->accepted, 6.5, sqrt(0.5), 2);
    tear_down(&f);
}

static void speedup_and_delta_are_paired_by_seed(void **state)
{
    struct fixture f;
    set_up(&f);
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    const struct cell *c = summary_cell(f.s, 0, 0, METHOD_MSPECKV);
    /* seed 1: 45/15 = 3, seed 2: 62.5/25 = 2.5. The ratio of means would be 53.75/20 = 2.6875 */
    assert_spread(c->speedup, 2.75, 0.5 / sqrt(2.0), 2);
    /* 45-15 = 30, 62.5-25 = 37.5 */
    assert_spread(c->delta, 33.75, 7.5 / sqrt(2.0), 2);
    /* kv_quant: 90/45 = 2, 125/62.5 = 2 */
    assert_spread(summary_ratio(f.s, 0, 0, METHOD_MSPECKV_KV_QUANT, METHOD_MSPECKV), 2, 0, 2);
    tear_down(&f);
}

static void a_shared_trial_serves_both_studies(void **state)
{
    struct fixture f;
    set_up(&f);
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    for (uint32_t point = 0; point < 2; point++)
        assert_close(summary_cell(f.s, 1, point, METHOD_MSPECKV)->throughput.mean, 53.75, 1e-9);
    /* resident 0: half of 90 and 125 */
    assert_close(summary_cell(f.s, 1, 0, METHOD_MSPECKV_KV_QUANT)->throughput.mean, 53.75, 1e-9);
    assert_spread(summary_cell(f.s, 1, 1, METHOD_MSPECKV_KV_QUANT)->speedup, 2, 0, 2);
    assert_int_equal(summary_cell(f.s, 1, 0, METHOD_MSPECKV_KV_QUANT)->effective_resident, 0);
    assert_int_equal(summary_cell(f.s, 1, 1, METHOD_MSPECKV_KV_QUANT)->effective_resident, 4);
    assert_int_equal(f.s->n_missing, 0);
    tear_down(&f);
}

static void fail_one(struct results *r, enum method method, uint32_t prefill)
{
    for (uint32_t i = 0; i < r->n; i++) {
        struct result *x = &r->result[i];
        if (x->method == method && x->setting.prefill == prefill && x->seed == 2 &&
            x->document == 1)
            x->ok = false;
    }
}

static void a_documents_figures_come_from_its_own_trials(void **state)
{
    struct fixture f;
    set_up(&f);
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    const struct cell *c = summary_document(f.s, 0, 0, METHOD_MSPECKV, 1);
    /* seeds: 50 and 65; mean 57.5, std 15/sqrt(2) */
    assert_spread(c->throughput, 57.5, 15 / sqrt(2.0), 2);
    /* ms/token: 20 and 15.385 */
    assert_spread(c->latency, (20 + 1000.0 / 65) / 2, (20 - 1000.0 / 65) / sqrt(2.0), 2);
    assert_spread(c->accepted, 6.5, sqrt(0.5), 2);
    /* over the baseline's 20 and 30 for the same document and seed */
    assert_spread(c->speedup, (2.5 + 65.0 / 30) / 2, (2.5 - 65.0 / 30) / sqrt(2.0), 2);
    assert_spread(c->delta, 32.5, 5 / sqrt(2.0), 2);
    assert_int_equal(c->n_ok, 2);
    assert_string_equal(f.s->document_name[1], sample_document[1]);
    tear_down(&f);
}

static void a_failed_trial_counts_for_its_document_only(void **state)
{
    struct fixture f;
    set_up(&f);
    uint32_t i = 0;
    while (f.r.result[i].method != METHOD_BASELINE || f.r.result[i].document != 1)
        i++;
    f.r.result[i].ok = false;
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    assert_int_equal(summary_document(f.s, 0, 0, METHOD_BASELINE, 0)->n_failed, 0);
    assert_int_equal(summary_document(f.s, 0, 0, METHOD_BASELINE, 1)->n_failed, 1);
    assert_int_equal(summary_document(f.s, 0, 0, METHOD_BASELINE, 1)->throughput.n, 1);
    /* the pair is gone for that seed, the other stays: 65/30 */
    assert_int_equal(summary_document(f.s, 0, 0, METHOD_MSPECKV, 1)->speedup.n, 1);
    assert_int_equal(summary_document(f.s, 0, 0, METHOD_MSPECKV, 0)->speedup.n, 2);
    assert_int_equal(f.s->n_failed, 1); /* not counted again by its document */
    tear_down(&f);
}

static void a_failed_trial_leaves_its_document_out_of_both_sides(void **state)
{
    struct fixture f;
    set_up(&f);
    fail_one(&f.r, METHOD_MSPECKV, 1000);
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    const struct cell *c = summary_cell(f.s, 0, 0, METHOD_MSPECKV);
    assert_int_equal(c->n_failed, 1);
    assert_int_equal(c->n_ok, 3);
    /* seed 2 has document 1 only: 60 */
    assert_close(c->throughput.mean, (45 + 60) / 2.0, 1e-9);
    /* seed 2: 60/20 = 3 on the document both have, not 60/25 */
    assert_spread(c->speedup, 3, 0, 2);
    assert_int_equal(f.s->n_failed, 3); /* in one cell of a1 and two of a2 */
    tear_down(&f);
}

static void one_seed_has_no_deviation(void **state)
{
    struct fixture f;
    set_up(&f);
    f.e->n_seeds = 1;
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    const struct cell *c = summary_cell(f.s, 0, 0, METHOD_BASELINE);
    assert_close(c->throughput.mean, 15, 1e-9);
    assert_true(isnan(c->throughput.std));
    assert_int_equal(c->throughput.n, 1);
    tear_down(&f);
}

static void the_last_of_equal_results_counts(void **state)
{
    struct fixture f;
    set_up(&f);
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    summary_close(f.s);
    f.r.result = realloc(f.r.result, (f.r.n + 1) * sizeof *f.r.result);
    struct msg_result again = sample_measured(30, 0);
    uint32_t i = 0;
    while (f.r.result[i].method != METHOD_BASELINE || f.r.result[i].seed != 1 ||
           f.r.result[i].document != 0 || f.r.result[i].setting.prefill != 1000)
        i++;
    result_init(&f.r.result[f.r.n++], &f.m->trial[f.r.result[i].trial], 1, &again, NULL);
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    /* seed 1 is now (30+20)/2 = 25 and seed 2 stays 25 */
    assert_spread(summary_cell(f.s, 0, 0, METHOD_BASELINE)->throughput, 25, 0, 2);
    tear_down(&f);
}

static void without_results_everything_is_missing_and_nothing_is_a_number(void **state)
{
    struct fixture f;
    set_up(&f);
    summary_open(&f.s, f.e, NULL, 0, 0);
    const struct cell *c = summary_cell(f.s, 0, 1, METHOD_MSPECKV);
    assert_true(isnan(c->throughput.mean));
    assert_int_equal(c->speedup.n, 0);
    assert_int_equal(c->n_missing, 4);
    assert_int_equal(f.s->n_missing, 4 * (2 * 4 + 2 * 2));
    tear_down(&f);
}

static void the_ledger_is_the_sum_of_its_parts(void **state)
{
    struct fixture f;
    set_up(&f);
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    const struct cell *c = summary_cell(f.s, 0, 0, METHOD_BASELINE);
    assert_int_equal(ledger_total(&c->kv), 4128512);
    assert_close(c->link_bytes_per_token, 2500, 1e-9);
    assert_close(c->ttft_s, 1, 1e-9);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(throughput_is_the_mean_over_seeds_of_document_means),
        cmocka_unit_test(accepted_excludes_the_bonus_token),
        cmocka_unit_test(speedup_and_delta_are_paired_by_seed),
        cmocka_unit_test(a_shared_trial_serves_both_studies),
        cmocka_unit_test(a_documents_figures_come_from_its_own_trials),
        cmocka_unit_test(a_failed_trial_counts_for_its_document_only),
        cmocka_unit_test(a_failed_trial_leaves_its_document_out_of_both_sides),
        cmocka_unit_test(one_seed_has_no_deviation),
        cmocka_unit_test(the_last_of_equal_results_counts),
        cmocka_unit_test(without_results_everything_is_missing_and_nothing_is_a_number),
        cmocka_unit_test(the_ledger_is_the_sum_of_its_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
