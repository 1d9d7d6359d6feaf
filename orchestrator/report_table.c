#include "orchestrator/report_table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "orchestrator/heading.h"
#include "orchestrator/html.h"

enum { FIELD_BYTES = 96 };

static void head(FILE *to, const char *const *word, size_t n)
{
    fputs("<div class=\"wide\"><table><thead><tr>", to);
    for (size_t i = 0; i < n; i++) {
        fputs("<th scope=\"col\">", to);
        html_text(to, word[i]);
        fputs("</th>", to);
    }
    fputs("</tr></thead><tbody>\n", to);
}

static void tail(FILE *to)
{
    fputs("</tbody></table></div>\n", to);
}

static void field(FILE *to, const char *words)
{
    fputs("<td>", to);
    html_text(to, words);
    fputs("</td>", to);
}

static void spread_field(FILE *to, struct spread x)
{
    double size = fabs(x.mean);
    char text[FIELD_BYTES];

    heading_spread(x, size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3, text, sizeof text);
    field(to, text);
}

static void number_field(FILE *to, double x)
{
    char text[FIELD_BYTES];

    heading_number(x, text, sizeof text);
    field(to, text);
}

static void bytes_field(FILE *to, double bytes)
{
    char text[FIELD_BYTES];

    heading_bytes(bytes, text, sizeof text);
    field(to, text);
}

static void row_head(FILE *to, const struct study *of, uint32_t point, enum method method)
{
    char value[FIELD_BYTES];

    heading_point(of, point, value, sizeof value);
    fputs("<tr><th scope=\"row\">", to);
    html_text(to, value);
    fputs("</th>", to);
    field(to, method_name(method));
}

void report_table_cells(FILE *to, const struct summary *s, uint32_t study)
{
    const struct study *of = &s->e->study[study];
    char sweep[FIELD_BYTES], speedup[FIELD_BYTES];
    const char *const words[] = {sweep,   "method", "tok/s",      "ms/token",  "accepted",
                                 speedup, "TTFT s", "link/token", "device KV", "trials ok"};

    heading_sweep(of, sweep, sizeof sweep);
    snprintf(speedup, sizeof speedup, "speedup over %s", method_name(of->reference));
    head(to, words, sizeof words / sizeof *words);
    for (uint32_t k = 0; k < s->study[study].n_points * of->n_methods; k++) {
        uint32_t point = k / of->n_methods;
        enum method method = of->method[k % of->n_methods];
        const struct cell *c = summary_cell(s, study, point, method);
        row_head(to, of, point, method);
        spread_field(to, c->throughput);
        spread_field(to, c->latency);
        spread_field(to, c->accepted);
        spread_field(to, c->speedup);
        number_field(to, c->ttft_s);
        bytes_field(to, c->link_bytes_per_token);
        bytes_field(to, (double)ledger_total(&c->kv));
        fprintf(to, "<td>%u/%u</td></tr>\n", c->n_ok, c->n_ok + c->n_failed + c->n_missing);
    }
    tail(to);
}

static void trial_row(FILE *to, const struct study *of, const struct result *r, uint32_t point)
{
    row_head(to, of, point, r->method);
    fprintf(to, "<td>%u</td><td>%" PRIu64 "</td>", r->document + 1, r->seed);
    if (!r->ok) {
        fputs("<td colspan=\"5\" class=\"failed\">failed: ", to);
        html_text(to, r->reason);
        fputs("</td></tr>\n", to);
        return;
    }
    number_field(to, result_tok_per_s(r));
    number_field(to, result_ms_per_token(r));
    number_field(to, result_accepted(r));
    fprintf(to, "<td>%u</td><td>%u</td></tr>\n", r->meas.rounds, r->meas.n_tokens);
}

void report_table_trials(FILE *to, const struct report_run *run, uint32_t study)
{
    const struct study *of = &run->s->e->study[study];
    char sweep[FIELD_BYTES];
    const char *const words[] = {sweep,      "method",   "document", "seed",  "tok/s",
                                 "ms/token", "accepted", "rounds",   "tokens"};

    heading_sweep(of, sweep, sizeof sweep);
    head(to, words, sizeof words / sizeof *words);
    for (uint32_t i = 0; i < run->results->n; i++) {
        const struct result *r = &run->results->result[i];
        for (uint32_t u = 0; u < r->n_uses; u++)
            if (r->use[u].study == study)
                trial_row(to, of, r, r->use[u].point);
    }
    tail(to);
}

/* ---- several runs ---- */

/* The cell of `of` that has the same study, point and method; NULL: none. */
static const struct cell *twin(const struct summary *of, const struct study *study, uint32_t point,
                               enum method method)
{
    char want[FIELD_BYTES], have[FIELD_BYTES];

    heading_point(study, point, want, sizeof want);
    for (uint32_t i = 0; i < of->e->n_studies; i++) {
        if (strcmp(of->e->study[i].name, study->name) != 0)
            continue;
        for (uint32_t p = 0; p < of->study[i].n_points; p++) {
            heading_point(&of->e->study[i], p, have, sizeof have);
            if (strcmp(want, have) == 0)
                return summary_cell(of, i, p, method);
        }
    }
    return NULL;
}

static void compare_row(FILE *to, const struct report_run *run, uint32_t n_runs, uint32_t study,
                        uint32_t k)
{
    const struct study *of = &run[0].s->e->study[study];
    uint32_t point = k / of->n_methods;
    enum method method = of->method[k % of->n_methods];
    const struct cell *first = summary_cell(run[0].s, study, point, method);

    row_head(to, of, point, method);
    spread_field(to, first->throughput);
    for (uint32_t r = 1; r < n_runs; r++) {
        const struct cell *c = twin(run[r].s, of, point, method);
        if (c == NULL || !c->present) {
            fputs("<td>-</td><td>-</td>", to);
            continue;
        }
        spread_field(to, c->throughput);
        number_field(to, c->throughput.mean / first->throughput.mean);
    }
    fputs("</tr>\n", to);
}

void report_table_compare(FILE *to, const struct report_run *run, uint32_t n_runs, uint32_t study)
{
    const struct study *of = &run[0].s->e->study[study];
    char sweep[FIELD_BYTES];

    heading_sweep(of, sweep, sizeof sweep);
    fputs("<div class=\"wide\"><table><thead><tr><th scope=\"col\">", to);
    html_text(to, sweep);
    fputs("</th><th scope=\"col\">method</th>", to);
    for (uint32_t r = 0; r < n_runs; r++) {
        fputs("<th scope=\"col\">", to);
        html_printf(to, "%s: tok/s", run[r].name);
        fputs(r > 0 ? "</th><th scope=\"col\">ratio to the first</th>" : "</th>", to);
    }
    fputs("</tr></thead><tbody>\n", to);
    for (uint32_t k = 0; k < run[0].s->study[study].n_points * of->n_methods; k++)
        compare_row(to, run, n_runs, study, k);
    tail(to);
}
