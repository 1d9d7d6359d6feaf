/*
 * Sentences follow from figures that are put into a summary by hand, so each
 * expectation is seen to hold and seen to fail.
 */
#include "tests/orchestrator/sample.h"

#include <math.h>

#include "orchestrator/analysis.h"
#include "orchestrator/summary.h"

struct fixture {
    struct experiment *e;
    struct summary *s;
};

static const char a1[] = "name: x\ntarget: t\ndraft: d\ndataset: demo\ndocuments: 1\n"
                         "seeds: [1, 2, 3]\nstudy: a1\ntitle: A\nresident_layers: 4\non_chip: 4\n"
                         "link: {simulate_gbps: 0.5}\n";

static void set_up(struct fixture *f, const char *sweep)
{
    char text[1024];

    snprintf(text, sizeof text, "%s%s\n", a1, sweep);
    f->e = sample_parse(text);
    summary_open(&f->s, f->e, NULL, 0, 0.5);
}

static void tear_down(struct fixture *f)
{
    summary_close(f->s);
    experiment_free(f->e);
}

static struct cell *cell(struct fixture *f, uint32_t point, enum method method)
{
    return (struct cell *)(uintptr_t)summary_cell(f->s, 0, point, method);
}

/* Speed and what follows of it: gain over the baseline, round of 10 ms. */
static void put(struct fixture *f, uint32_t point, enum method method, double tok_per_s)
{
    struct cell *c = cell(f, point, method);
    double base = cell(f, point, METHOD_BASELINE)->throughput.mean;

    c->throughput = (struct spread){tok_per_s, 1, 3};
    c->round = (struct round_ms){.verify = 4, .link_wait = 6};
    c->link_bytes_per_token = 1e6;
    if (method == METHOD_BASELINE)
        return;
    c->delta = (struct spread){tok_per_s - base, 1, 3};
    f->s->study[0].ratio[(point * METHOD_COUNT + (uint32_t)method) * METHOD_COUNT] =
        (struct spread){tok_per_s / base, 0.1, 3};
}

static void put_point(struct fixture *f, uint32_t point, double baseline, double quant)
{
    put(f, point, METHOD_BASELINE, baseline);
    put(f, point, METHOD_VANILLA_SPECDEC, baseline);
    put(f, point, METHOD_MSPECKV, 2 * baseline);
    put(f, point, METHOD_MSPECKV_KV_QUANT, quant);
}

static bool says(struct fixture *f, const char *words)
{
    struct analysis a;
    bool found = false;

    analysis_init(&a, f->s, 0);
    for (uint32_t i = 0; i < a.n; i++)
        found = found || strstr(a.sentence[i], words) != NULL;
    for (uint32_t i = 0; !found && i < a.n; i++)
        print_message("%s\n", a.sentence[i]);
    analysis_release(&a);
    return found;
}

static void a_difference_counts_when_its_interval_leaves_zero_out(void **state)
{
    /* t(0.975, 2) = 4.303: 4.303 / sqrt(3) = 2.484 */
    assert_true(analysis_exceeds_spread((struct spread){2.49, 1, 3}));
    assert_false(analysis_exceeds_spread((struct spread){2.48, 1, 3}));
    assert_true(analysis_exceeds_spread((struct spread){-2.49, 1, 3}));
    assert_false(analysis_exceeds_spread((struct spread){100, NAN, 1}));
    assert_false(analysis_exceeds_spread((struct spread){NAN, NAN, 0}));
    /* t(0.975, 10) = 2.228 at most beyond: 2.228 / sqrt(16) = 0.557 */
    assert_true(analysis_exceeds_spread((struct spread){0.56, 1, 16}));
}

static void the_largest_part_of_a_round_is_named_with_its_share(void **state)
{
    struct fixture f;

    set_up(&f, "prefill: [1000, 2000]");
    put_point(&f, 0, 20, 40);
    put_point(&f, 1, 10, 38);
    assert_true(says(&f, "baseline spends the largest part of a round in waiting for the link at "
                         "prefill 1000 to 2000: 60 %."));
    /* 20 tok/s * 1 MB of 0.5 GB/s is 4 %, 10 is 2 % */
    assert_true(says(&f, "Where baseline waits for the link it uses 2 to 4 % of its 0.5 GB/s."));
    cell(&f, 1, METHOD_MSPECKV)->round = (struct round_ms){.draft = 5, .middle = 3, .verify = 2};
    assert_true(
        says(&f, "mspeckv spends the largest part of a round in drafting at prefill 2000: 80 %."));
    tear_down(&f);
}

static void differences_are_sorted_by_the_seeds_spread(void **state)
{
    struct fixture f;

    set_up(&f, "prefill: [1000, 2000]");
    put_point(&f, 0, 20, 40);
    put_point(&f, 1, 10, 38);
    assert_true(says(&f, "mspeckv_kv_quant against baseline, paired by seed: faster beyond the "
                         "spread at 1000, 2000."));
    assert_true(says(&f, "vanilla_specdec against baseline, paired by seed: no difference beyond "
                         "the spread at 1000, 2000."));
    cell(&f, 1, METHOD_VANILLA_SPECDEC)->delta = (struct spread){-9, 1, 3};
    assert_true(says(&f, "slower beyond the spread at 2000; no difference beyond the spread at "
                         "1000."));
    tear_down(&f);
}

static void without_a_sweep_a_difference_names_no_point(void **state)
{
    struct fixture f;

    set_up(&f, "prefill: 1000");
    put_point(&f, 0, 20, 40);
    assert_true(says(&f, "mspeckv_kv_quant against baseline, paired by seed: faster beyond the "
                         "spread."));
    tear_down(&f);
}

static void what_is_expected_over_context_holds_or_does_not(void **state)
{
    struct fixture f;

    set_up(&f, "prefill: [1000, 2000]");
    put_point(&f, 0, 20, 40);
    put_point(&f, 1, 10, 38);
    assert_true(says(&f, "the baseline falls with context; holds (20 to 10 tok/s)"));
    assert_true(says(&f, "holds (it keeps 95 %, the baseline 50 %)"));
    assert_true(says(&f, "its gain grows with context; holds (2.00 to 3.80)"));
    put_point(&f, 1, 30, 38);
    assert_true(says(&f, "the baseline falls with context; does not hold"));
    assert_true(says(&f, "its gain grows with context; does not hold"));
    tear_down(&f);
}

static void residency_saturates_where_further_steps_add_little(void **state)
{
    struct fixture f;

    f.e = sample_parse("name: x\ntarget: t\ndraft: d\ndataset: demo\ndocuments: 1\n"
                       "seeds: [1, 2, 3]\nstudy: a2\ntitle: A\non_chip: 4\nprefill: 1000\n"
                       "resident_layers: [0, 2, 4]\n");
    summary_open(&f.s, f.e, NULL, 0, 0);
    put_point(&f, 0, 10, 20);
    put_point(&f, 1, 10, 40);
    put_point(&f, 2, 10, 41);
    assert_true(says(&f, "quantization alone gains at residency 0; holds (2.00 over baseline)"));
    assert_true(says(&f, "Residency saturates at 2: each further step adds less than 5 %."));
    put_point(&f, 2, 10, 60);
    assert_true(says(&f, "Residency still pays at the last point, 4"));
    tear_down(&f);
}

static void without_results_nothing_is_claimed(void **state)
{
    struct fixture f;
    struct analysis a;

    set_up(&f, "prefill: [1000, 2000]");
    analysis_init(&a, f.s, 0);
    assert_int_equal(a.n, 0);
    analysis_release(&a);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_difference_counts_when_its_interval_leaves_zero_out),
        cmocka_unit_test(the_largest_part_of_a_round_is_named_with_its_share),
        cmocka_unit_test(differences_are_sorted_by_the_seeds_spread),
        cmocka_unit_test(without_a_sweep_a_difference_names_no_point),
        cmocka_unit_test(what_is_expected_over_context_holds_or_does_not),
        cmocka_unit_test(residency_saturates_where_further_steps_add_little),
        cmocka_unit_test(without_results_nothing_is_claimed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
