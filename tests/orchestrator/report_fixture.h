/*
 * report_fixture.h - a report of the sample's results, with hostile names in it.
 */
#ifndef TESTS_ORCHESTRATOR_REPORT_FIXTURE_H
#define TESTS_ORCHESTRATOR_REPORT_FIXTURE_H

#include "tests/orchestrator/sample.h"

#include <ftw.h>
#include <unistd.h>

#include "orchestrator/report_page.h"
#include "orchestrator/report_plots.h"

struct report_fixture {
    struct experiment *e;
    struct matrix *m;
    struct results r;
    struct summary *s;
    struct report_charts charts[2];
    struct report_run run;
    char dir[64];
};

static inline void report_set_up(struct report_fixture *f)
{
    f->e = sample_parse(sample_text);
    f->m = sample_matrix(f->e, 8);
    f->r = sample_results(f->e, f->m);
    f->r.result[3].ok = false;
    snprintf(f->r.result[3].reason, sizeof f->r.result[3].reason, "<script>alert('&')</script>");
    snprintf(f->e->study[0].title, sizeof f->e->study[0].title, "A \"<b>\" 'title' `id`");
    summary_open(&f->s, f->e, f->r.result, f->r.n, 0.25);
    f->s->random_weights = true;
    for (uint32_t i = 0; i < 2; i++)
        report_charts_init(&f->charts[i], f->s, &f->r, i);
    f->run = (struct report_run){"runs/<x>", f->s, &f->r, "cpu & more", f->charts};
    snprintf(f->dir, sizeof f->dir, "/tmp/mspeckv-report-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
}

static inline int report_remove_one(const char *path, const struct stat *st, int flag,
                                    struct FTW *ftw)
{
    return remove(path);
}

static inline void report_tear_down(struct report_fixture *f)
{
    nftw(f->dir, report_remove_one, 8, FTW_DEPTH | FTW_PHYS);
    for (uint32_t i = 0; i < 2; i++)
        report_charts_release(&f->charts[i]);
    summary_close(f->s);
    results_release(&f->r);
    matrix_close(f->m);
    experiment_free(f->e);
}

static inline void report_draw(struct report_fixture *f)
{
    struct err err = {{0}};

    if (report_plots_draw(&f->run, f->dir, &err) != ST_OK)
        fail_msg("%s", err.text);
}

/* The caller owns it. */
static inline char *report_text(struct report_fixture *f)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);

    report_page_write(to, &f->run, f->dir);
    fclose(to);
    return text;
}

#endif
