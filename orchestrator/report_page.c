#include "orchestrator/report_page.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/analysis.h"
#include "orchestrator/heading.h"
#include "orchestrator/html.h"
#include "orchestrator/replay_plan.h"
#include "orchestrator/report_plots.h"
#include "orchestrator/report_roofline.h"
#include "orchestrator/report_table.h"

/* gnuplot draws text and axes in black: on a dark page they take its ink. Narrower than 32rem
 * a figure's words cannot be read: on a phone it is moved sideways, as a table is. */
static const char style[] =
    ":root{color-scheme:light dark;--ink:#1a1d21;--paper:#fff;--line:#c9ced6;--soft:#f2f4f7;"
    "--warn:#8a4b00}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--paper:#14171b;--line:#3a4049;"
    "--soft:#1e2329;--warn:#ffb454}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:1rem;color:var(--ink);"
    "background:var(--paper);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\n"
    "h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem;border-bottom:1px solid "
    "var(--line)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;"
    "font-size:.9rem;overflow-wrap:normal}\n"
    "th,td{padding:.25rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid "
    "var(--line)}th:first-child,:is(td,th):nth-child(2){text-align:left}thead "
    "th{background:var(--soft)}\n"
    ".figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,32rem),1fr));"
    "gap:1rem}figure{margin:0;overflow-x:auto}figure svg{width:100%;min-width:32rem;height:auto}"
    "\n"
    "figure svg [color=black]{color:var(--ink)}figure svg [fill=black]{fill:var(--ink)}"
    "figure svg [stroke=black]{stroke:var(--ink)}\n"
    "pre{white-space:pre-wrap;background:var(--soft);padding:.7rem;font-size:.85rem}\n"
    ".mark{color:var(--warn);font-weight:600}.failed{color:var(--warn);white-space:normal;"
    "text-align:left}summary{cursor:pointer;padding:.4rem 0}\n";

static void begin(FILE *to, const char *title)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>",
          to);
    html_text(to, title);
    fprintf(to, "</title>\n<style>\n%s</style></head>\n<body>\n<h1>", style);
    html_text(to, title);
    fputs("</h1>\n", to);
}

static void end(FILE *to)
{
    fputs("</body></html>\n", to);
}

/* A simulated link, random weights and replayed acceptance are not to be overlooked. */
static void marks(FILE *to, const struct report_run *run)
{
    bool is_marked = run->s->link_gbps > 0 || run->s->random_weights || replay_plan_any(run->s->e);
    char trials[HEADING_BYTES];

    heading_trials(run->s, trials);
    fputs(is_marked ? "<p class=\"mark\">" : "<p>", to);
    html_printf(to, "%s.", trials);
    fputs("</p>\n", to);
}

static void incomplete(FILE *to, const struct report_run *run)
{
    if (run->s->n_failed + run->s->n_missing > 0)
        fprintf(to, "<p class=\"failed\">%u trials failed, %u are missing.</p>\n", run->s->n_failed,
                run->s->n_missing);
}

static void sentences(FILE *to, const struct summary *s, uint32_t study)
{
    struct analysis a;

    analysis_init(&a, s, study);
    fputs(a.n > 0 ? "<ul>\n" : "", to);
    for (uint32_t i = 0; i < a.n; i++) {
        fputs("<li>", to);
        html_text(to, a.sentence[i]);
        fputs("</li>\n", to);
    }
    fputs(a.n > 0 ? "</ul>\n" : "", to);
    analysis_release(&a);
}

static void figures(FILE *to, const struct report_charts *charts, const char *dir)
{
    fputs("<div class=\"figures\">\n", to);
    for (int i = 0; i < REPORT_CHARTS; i++) {
        char *svg = report_plots_svg(dir, &charts->chart[i]);
        if (svg != NULL)
            fprintf(to, "<figure role=\"img\" aria-label=\"");
        if (svg != NULL) {
            html_text(to, charts->chart[i].title);
            fprintf(to, "\">\n%s</figure>\n", svg);
        }
        free(svg);
    }
    fputs("</div>\n", to);
}

static void study_section(FILE *to, const struct report_run *run, uint32_t study, const char *dir)
{
    const struct study *of = &run->s->e->study[study];
    char fixed[HEADING_BYTES];

    fputs("<section><h2>", to);
    html_printf(to, "%s: %s", of->name, of->title);
    fputs("</h2>\n<p>", to);
    heading_fixed(of, fixed);
    html_printf(to, "%s.", fixed);
    fputs("</p>\n", to);
    marks(to, run);
    report_table_cells(to, run->s, study);
    sentences(to, run->s, study);
    report_roofline(to, run, study);
    figures(to, &run->charts[study], dir);
    fputs("<details><summary>Every trial</summary>\n", to);
    report_table_trials(to, run, study);
    fputs("</details></section>\n", to);
}

void report_page_write(FILE *to, const struct report_run *run, const char *dir)
{
    begin(to, run->s->e->name);
    incomplete(to, run);
    for (uint32_t i = 0; i < run->s->e->n_studies; i++)
        study_section(to, run, i, dir);
    fputs("<section><h2>About this run</h2>\n<pre>", to);
    html_text(to, run->about);
    fputs("</pre></section>\n", to);
    end(to);
}

void report_page_compare(FILE *to, const struct report_run *run, uint32_t n_runs)
{
    begin(to, "Runs side by side");
    for (uint32_t r = 0; r < n_runs; r++) {
        fputs("<h2>", to);
        html_text(to, run[r].name);
        fputs("</h2>\n", to);
        marks(to, &run[r]);
        incomplete(to, &run[r]);
        fputs("<details><summary>About this run</summary><pre>", to);
        html_text(to, run[r].about);
        fputs("</pre></details>\n", to);
    }
    for (uint32_t i = 0; i < run[0].s->e->n_studies; i++) {
        fputs("<section><h2>", to);
        html_printf(to, "%s: %s", run[0].s->e->study[i].name, run[0].s->e->study[i].title);
        fputs("</h2>\n", to);
        report_table_compare(to, run, n_runs, i);
        fputs("</section>\n", to);
    }
    end(to);
}
