/*
 * Predictions held against numbers worked out by hand, and against what must
 * hold whatever the numbers.
 */
#include "tests/orchestrator/report_fixture.h"

#include <math.h>

#include "orchestrator/analysis.h"
#include "orchestrator/heading.h"
#include "orchestrator/report_roofline.h"

/* 4 layers of 2 KV heads of 64: 512 bytes of f16 K and V a token and layer. */
static const struct ceilings_model target = {.n_layers = 4,
                                             .n_heads = 4,
                                             .n_kv_heads = 2,
                                             .head_dim = 64,
                                             .pass_bytes = 1e6,
                                             .row_ops = 1e6};
static const struct ceilings_model draft = {.n_layers = 1,
                                            .n_heads = 1,
                                            .n_kv_heads = 1,
                                            .head_dim = 64,
                                            .window = 100,
                                            .pass_bytes = 1e5,
                                            .row_ops = 1e5};

/* 10 rounds of 8 proposals at a context of 1000; 20 middle steps. */
static struct result speculating(void)
{
    return (struct result){
        .method = METHOD_MSPECKV,
        .ok = true,
        .setting = {.prefill = 950, .on_chip = 1, .kv_format = 1},
        .meas = {.n_tokens = 100,
                 .rounds = 10,
                 .proposed = 80,
                 .draft_proposed = 60,
                 .middle_steps = 20,
                 .n_selected = 150,
                 .link_bytes = 15000000,
                 .decode_s = 1},
        .ceilings = {.memory_gbps = 1, .compute_gflops = 10, .target = target, .draft = draft}};
}

static void near(double is, double want)
{
    if (!(fabs(is - want) <= 1e-12 + 1e-9 * fabs(want)))
        fail_msg("%.12g is not %.12g", is, want);
}

static struct roofline of(const struct result *r)
{
    struct roofline found;

    assert_true(roofline_of(r, &found));
    return found;
}

static void a_trial_worked_out_by_hand_comes_out(void **state)
{
    struct result r = speculating();
    struct roofline x = of(&r);

    /* draft: 60 passes of 1e5 bytes and 100 tokens * 256 bytes at 1 GB/s */
    near(x.draft.at[ROOFLINE_MEMORY], 60 * (1e5 + 100 * 256) / 1e9);
    /* its rows: 1e5 and 4 * 100 * 64 operations at 10 GFLOP/s */
    near(x.draft.at[ROOFLINE_COMPUTE], 60 * (1e5 + 4 * 100 * 64) / 1e10);
    /* middle: 20 passes, 200 tokens * 4 layers * 512 bytes; 80 rows of 4 heads */
    near(x.middle.at[ROOFLINE_MEMORY], 20 * (1e6 + 200 * 2048) / 1e9);
    near(x.middle.at[ROOFLINE_COMPUTE], 80 * (1e6 + 4 * 200 * 256 * 4) / 1e10);
    /* verify: 10 passes, 1000 tokens; 90 rows */
    near(x.verify.at[ROOFLINE_MEMORY], 10 * (1e6 + 1000 * 2048) / 1e9);
    near(x.verify.at[ROOFLINE_COMPUTE], 90 * (1e6 + 4 * 1000 * 256 * 4) / 1e10);
    near(x.verify.at[ROOFLINE_LINK], 0); /* there is none */
    near(roofline_time(&x), x.draft.at[ROOFLINE_MEMORY] + x.middle.at[ROOFLINE_MEMORY] +
                                x.verify.at[ROOFLINE_COMPUTE]);
    assert_int_equal(roofline_bound_of(&x), ROOFLINE_COMPUTE);
}

static void the_link_runs_under_the_pass_and_its_ring_under_the_drafting(void **state)
{
    struct result r = speculating();
    struct roofline x;
    double drafting, all;

    r.ceilings.link_gbps = 0.1; /* 15 MB: 150 ms, of which 2 of 3 layers may hide */
    x = of(&r);
    all = 0.15;
    drafting = x.draft.at[ROOFLINE_MEMORY] + x.middle.at[ROOFLINE_MEMORY];
    assert_true(drafting < all * 2 / 3);
    near(x.verify.at[ROOFLINE_LINK], all - drafting);
    near(roofline_time(&x), all);
    assert_int_equal(roofline_bound_of(&x), ROOFLINE_LINK);

    r.ceilings.memory_gbps = 0.1; /* drafting is long: the third layer's copy still waits */
    x = of(&r);
    near(x.verify.at[ROOFLINE_LINK], all / 3);
    r.setting.staging_layers = 3; /* the whole cycle fits into the ring */
    x = of(&r);
    near(x.verify.at[ROOFLINE_LINK], 0);
    r.setting.staging_layers = 0;
    r.meas.effective_resident = 3; /* nothing is offloaded */
    x = of(&r);
    near(x.verify.at[ROOFLINE_LINK], 0);
}

static void a_quantized_layer_is_read_in_its_own_format(void **state)
{
    struct result r = speculating();
    struct roofline f16 = of(&r), int8;

    r.setting.kv_format = 2;
    int8 = of(&r);
    /* one layer stays f16; of the others a page has 2 heads of 2 * 8192 bytes,
     * 64 K scales and 128 V scales of 4 bytes */
    near(int8.verify.at[ROOFLINE_MEMORY],
         10 * (1e6 + 1000 * (512 + 3 * (2 * (2 * 8192 + 4 * (64 + 128))) / 128.0)) / 1e9);
    assert_true(int8.verify.at[ROOFLINE_MEMORY] < f16.verify.at[ROOFLINE_MEMORY]);
}

static void a_window_bounds_what_a_pass_reads(void **state)
{
    struct result r = speculating();

    r.ceilings.target.window = 64;
    near(of(&r).verify.at[ROOFLINE_MEMORY], 10 * (1e6 + 64 * 2048) / 1e9);
    r.ceilings.target.window = 5000;
    near(of(&r).verify.at[ROOFLINE_MEMORY], 10 * (1e6 + 1000 * 2048) / 1e9);
}

/* Over a grid of settings: a faster device is never slower, and twice of
 * everything takes half the time. */
static void a_higher_ceiling_is_never_slower(void **state)
{
    static const double rates[] = {0.01, 0.1, 1, 10};
    uint32_t n_faster = 0;

    for (uint32_t i = 0; i < 4 * 4 * 4; i++) {
        struct result r = speculating();
        double *const rate[] = {&r.ceilings.memory_gbps, &r.ceilings.compute_gflops,
                                &r.ceilings.link_gbps};
        struct roofline x;
        double before, after;
        r.ceilings.memory_gbps = rates[i % 4];
        r.ceilings.compute_gflops = rates[i / 4 % 4];
        r.ceilings.link_gbps = rates[i / 16];
        x = of(&r);
        before = roofline_time(&x);
        for (int k = 0; k < 3; k++) {
            *rate[k] *= 2;
            x = of(&r);
            after = roofline_time(&x);
            assert_true(after <= before * (1 + 1e-12));
            n_faster += after < before;
            *rate[k] /= 2;
        }
        for (int k = 0; k < 3; k++)
            *rate[k] *= 2;
        x = of(&r);
        near(roofline_time(&x), before / 2);
    }
    assert_true(n_faster > 64);
}

static void without_its_ceilings_a_trial_is_not_predicted(void **state)
{
    struct result whole = speculating(), r = whole;
    struct roofline x;

    r.ceilings.memory_gbps = 0;
    assert_false(roofline_of(&r, &x));
    r = whole;
    r.ceilings.draft.pass_bytes = 0;
    assert_false(roofline_of(&r, &x));
    r.method = METHOD_BASELINE;
    assert_true(roofline_of(&r, &x));
    r = whole;
    r.meas.rounds = 0;
    assert_false(roofline_of(&r, &x));
    r = whole;
    r.ok = false;
    assert_false(roofline_of(&r, &x));
}

/* ---- the page ---- */

static char *table_of(struct report_fixture *f, uint32_t study)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);

    report_roofline(to, &f->run, study);
    fclose(to);
    return text;
}

static void give_ceilings(struct report_fixture *f)
{
    for (uint32_t i = 0; i < f->r.n; i++)
        f->r.result[i].ceilings = speculating().ceilings;
    for (uint32_t i = 0; i < f->r.n; i++) {
        f->r.result[i].ceilings.link_gbps = 0.25;
        f->r.result[i].ceilings.target.n_layers = 8; /* the sample's matrix is of a model of 8 */
    }
    summary_close(f->s);
    summary_open(&f->s, f->e, f->r.result, f->r.n, 0.25);
    f->s->random_weights = true;
    f->run.s = f->s;
}

static void a_run_without_ceilings_says_so(void **state)
{
    struct report_fixture f;
    char *text;

    report_set_up(&f);
    text = table_of(&f, 0);
    assert_non_null(strstr(text, "recorded no ceilings"));
    assert_null(strstr(text, "<table"));
    free(text);
    report_tear_down(&f);
}

static void the_page_holds_measured_rounds_against_predicted_ones(void **state)
{
    struct report_fixture f;
    char row[256], measured[32], ratio[32], *text;
    const struct cell *c;

    report_set_up(&f);
    give_ceilings(&f);
    text = table_of(&f, 0);
    assert_non_null(strstr(text, "class=\"mark\""));
    assert_non_null(strstr(text, "simulated link 0.25 GB/s"));
    assert_non_null(strstr(text, "random weights"));
    /* baseline at 1000: 100 tokens a trial in 10 rounds at 10, 20, 20 and 30 tok/s */
    c = summary_cell(f.s, 0, 0, METHOD_BASELINE);
    assert_true(c->has_roofline);
    near(round_ms_total(&c->round), (10 + 5 + 5 + 10 / 3.0) * 1e3 / 40);
    /* 250000 bytes in 10 rounds: 0.1 ms each; 9 rows a pass take longer */
    near(c->roofline.verify.at[ROOFLINE_LINK], 0.1);
    near(roofline_time(&c->roofline), 9 * (1e6 + 4 * 1050 * 256 * 8) / 1e7);
    heading_number(583.333333, measured, sizeof measured);
    heading_number(583.333333 / 8.64144, ratio, sizeof ratio);
    snprintf(row, sizeof row, "<td>8.64 compute</td><td>8.64</td><td>%s</td><td>%s</td></tr>",
             measured, ratio);
    if (strstr(text, row) == NULL)
        fail_msg("no %s in %s", row, text);
    free(text);
    report_tear_down(&f);
}

static void one_trial_without_ceilings_takes_its_cell_out(void **state)
{
    struct report_fixture f;
    char *text;

    report_set_up(&f);
    give_ceilings(&f);
    for (uint32_t i = 0; i < f.r.n; i++)
        if (f.r.result[i].method == METHOD_BASELINE && f.r.result[i].ok) {
            f.r.result[i].ceilings = (struct ceilings){0};
            break;
        }
    summary_close(f.s);
    summary_open(&f.s, f.e, f.r.result, f.r.n, 0.25);
    f.run.s = f.s;
    assert_false(summary_cell(f.s, 0, 0, METHOD_BASELINE)->has_roofline);
    assert_true(summary_cell(f.s, 0, 1, METHOD_BASELINE)->has_roofline);
    text = table_of(&f, 0);
    assert_non_null(strstr(text, "no ceilings recorded"));
    free(text);
    report_tear_down(&f);
}

static void a_sentence_names_the_ceiling_and_the_share_reached(void **state)
{
    struct report_fixture f;
    struct analysis a;
    bool found = false;

    report_set_up(&f);
    give_ceilings(&f);
    analysis_init(&a, f.s, 0);
    for (uint32_t i = 0; i < a.n; i++)
        found = found ||
                strstr(a.sentence[i], "By the measured ceilings baseline is bound by "
                                      "compute at prefill 1000 to 2000; it reaches 1 %.") != NULL;
    assert_true(found);
    analysis_release(&a);
    report_tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trial_worked_out_by_hand_comes_out),
        cmocka_unit_test(the_link_runs_under_the_pass_and_its_ring_under_the_drafting),
        cmocka_unit_test(a_quantized_layer_is_read_in_its_own_format),
        cmocka_unit_test(a_window_bounds_what_a_pass_reads),
        cmocka_unit_test(a_higher_ceiling_is_never_slower),
        cmocka_unit_test(without_its_ceilings_a_trial_is_not_predicted),
        cmocka_unit_test(a_run_without_ceilings_says_so),
        cmocka_unit_test(the_page_holds_measured_rounds_against_predicted_ones),
        cmocka_unit_test(one_trial_without_ceilings_takes_its_cell_out),
        cmocka_unit_test(a_sentence_names_the_ceiling_and_the_share_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
