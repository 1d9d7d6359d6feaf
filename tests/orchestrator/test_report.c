/*
 * The page and the figures of the sample's results: everything stands in them
 * once, marked, and as words.
 */
#include "tests/orchestrator/report_fixture.h"

#include "orchestrator/html.h"

static uint32_t count(const char *text, const char *words)
{
    uint32_t n = 0;

    for (; (text = strstr(text, words)) != NULL; text += strlen(words))
        n++;
    return n;
}

static void words_stay_words(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);

    html_text(to, "a<b> & \"c\" 'd'\x01\xff\xc3\xa4");
    fclose(to);
    assert_string_equal(text, "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;\xEF\xBF\xBD\xEF\xBF\xBD"
                              "\xc3\xa4");
    free(text);
}

static void the_page_has_every_cell_trial_and_figure(void **state)
{
    struct report_fixture f;
    char *text;

    report_set_up(&f);
    report_draw(&f);
    text = report_text(&f);
    /* a1: 2 points of 4 methods, a2: 2 of 2; trials serve one or both studies */
    assert_int_equal(count(text, "<tbody>"), 4);
    uint32_t uses = 0;
    for (uint32_t i = 0; i < f.r.n; i++)
        uses += f.r.result[i].n_uses;
    assert_int_equal(count(text, "<tr><th scope=\"row\">"), 2 * 4 + 2 * 2 + uses);
    assert_int_equal(count(text, "<figure"), 2 * REPORT_CHARTS - 2); /* nothing was counted by
                                                                        position in the sample */
    assert_int_equal(count(text, "<svg"), count(text, "<figure"));
    free(text);
    report_tear_down(&f);
}

static void nothing_from_outside_becomes_markup(void **state)
{
    struct report_fixture f;
    char *text;

    report_set_up(&f);
    report_draw(&f);
    text = report_text(&f);
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "<b>"));
    assert_null(strstr(text, "<i>"));
    assert_non_null(strstr(text, "failed: &lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"));
    assert_non_null(strstr(text, "A &quot;&lt;b&gt;&quot; &#39;title&#39; `id`"));
    /* it loads nothing */
    assert_null(strstr(text, "src="));
    assert_null(strstr(text, "<link"));
    assert_null(strstr(text, "@import"));
    free(text);
    report_tear_down(&f);
}

static void every_figure_says_its_trials_link_and_marks(void **state)
{
    struct report_fixture f;

    report_set_up(&f);
    for (uint32_t k = 0; k < 2 * REPORT_CHARTS; k++) {
        const struct chart *c = &f.charts[k / REPORT_CHARTS].chart[k % REPORT_CHARTS];
        assert_non_null(strstr(c->note, "2 documents; seeds 1, 2"));
        assert_non_null(strstr(c->note, "simulated link 0.25 GB/s"));
        assert_non_null(strstr(c->note, "random weights"));
    }
    report_tear_down(&f);
}

static void every_trial_that_ended_well_is_a_point(void **state)
{
    struct report_fixture f;
    uint32_t n_dots = 0, n_good = 0;

    report_set_up(&f);
    const struct chart *c = &f.charts[0].chart[REPORT_THROUGHPUT];
    for (uint32_t s = 0; s < c->n_series; s++)
        n_dots += c->series[s].n_dots;
    for (uint32_t i = 0; i < f.r.n; i++)
        for (uint32_t u = 0; f.r.result[i].ok && u < f.r.result[i].n_uses; u++)
            n_good += f.r.result[i].use[u].study == 0;
    assert_true(n_good > 0);
    assert_int_equal(n_dots, n_good);
    report_tear_down(&f);
}

static void gnuplot_that_fails_is_quoted(void **state)
{
    struct report_fixture f;
    struct err err = {{0}};

    report_set_up(&f);
    snprintf(f.charts[0].chart[0].stem, 64, "a b"); /* gnuplot refuses it as a name */
    assert_int_equal(report_plots_draw(&f.run, f.dir, &err), ST_IO);
    assert_non_null(strstr(err.text, "gnuplot failed: "));
    assert_non_null(strstr(err.text, "plots/gnuplot.log"));
    report_tear_down(&f);
}

static void runs_stand_side_by_side_with_ratios(void **state)
{
    struct report_fixture a, b;
    struct report_run run[2];
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);

    report_set_up(&a);
    report_set_up(&b);
    for (uint32_t i = 0; i < b.r.n; i++)
        b.r.result[i].meas.decode_s *= 2;
    summary_close(b.s);
    summary_open(&b.s, b.e, b.r.result, b.r.n, 0.25);
    run[0] = a.run;
    run[1] = b.run;
    run[1].s = b.s;
    report_page_compare(to, run, 2);
    fclose(to);
    assert_int_equal(count(text, "<td>0.500</td>"), 2 * 4 + 2 * 2);
    free(text);
    report_tear_down(&a);
    report_tear_down(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_stay_words),
        cmocka_unit_test(the_page_has_every_cell_trial_and_figure),
        cmocka_unit_test(nothing_from_outside_becomes_markup),
        cmocka_unit_test(every_figure_says_its_trials_link_and_marks),
        cmocka_unit_test(every_trial_that_ended_well_is_a_point),
        cmocka_unit_test(gnuplot_that_fails_is_quoted),
        cmocka_unit_test(runs_stand_side_by_side_with_ratios),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
