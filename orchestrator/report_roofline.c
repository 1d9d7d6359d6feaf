#include "orchestrator/report_roofline.h"

#include <math.h>

#include "orchestrator/heading.h"
#include "orchestrator/html.h"
#include "orchestrator/replay_plan.h"

enum { FIELD_BYTES = 96 };

/* Places of one run may differ: the span of what was measured. */
struct span {
    double least, most;
};

static void widen(struct span *s, double x)
{
    if (x > 0) {
        s->least = s->most > 0 ? fmin(s->least, x) : x;
        s->most = fmax(s->most, x);
    }
}

static void say_span(FILE *to, const char *words, struct span s, const char *unit)
{
    if (!(s.most > 0))
        return;
    if (s.least == s.most)
        fprintf(to, "; %s %.3g %s", words, s.most, unit);
    else
        fprintf(to, "; %s %.3g to %.3g %s", words, s.least, s.most, unit);
}

static void say_ceilings(FILE *to, const struct report_run *run)
{
    bool is_marked = run->s->link_gbps > 0 || run->s->random_weights || replay_plan_any(run->s->e);
    struct span memory = {0}, compute = {0}, link = {0};

    for (uint32_t i = 0; i < run->results->n; i++) {
        const struct ceilings *c = &run->results->result[i].ceilings;
        widen(&memory, c->memory_gbps);
        widen(&compute, c->compute_gflops);
        widen(&link, c->link_gbps);
    }
    fputs(is_marked ? "<p class=\"mark\">" : "<p>", to);
    fputs("The least that a round can take at the measured ceilings, beside what it took", to);
    say_span(to, "memory", memory, "GB/s");
    say_span(to, "products", compute, "GFLOP/s");
    say_span(to, run->s->link_gbps > 0 ? "simulated link" : "link", link, "GB/s");
    fputs(run->s->random_weights ? "; random weights" : "", to);
    fputs(replay_plan_any(run->s->e) ? "; replayed acceptance" : "", to);
    fputs(". Messages, judging and sealing have no ceiling and stand in the measured round "
          "only.</p>\n",
          to);
}

static void phase_field(FILE *to, const struct roofline_phase *phase)
{
    enum roofline_bound bound;
    double ms = roofline_phase_time(phase, &bound);
    char text[FIELD_BYTES];

    heading_number(ms, text, sizeof text);
    if (ms > 0)
        fprintf(to, "<td>%s %s</td>", text, roofline_bound_name(bound));
    else
        fputs("<td>-</td>", to);
}

static void number_field(FILE *to, double x)
{
    char text[FIELD_BYTES];

    heading_number(x, text, sizeof text);
    fprintf(to, "<td>%s</td>", text);
}

static void row(FILE *to, const struct study *of, uint32_t point, enum method method,
                const struct cell *c)
{
    double predicted = roofline_time(&c->roofline), measured = round_ms_total(&c->round);
    char value[FIELD_BYTES];

    heading_point(of, point, value, sizeof value);
    fputs("<tr><th scope=\"row\">", to);
    html_text(to, value);
    fprintf(to, "</th><td>%s</td>", method_name(method));
    if (!c->has_roofline) {
        fputs("<td colspan=\"6\">no ceilings recorded</td></tr>\n", to);
        return;
    }
    phase_field(to, &c->roofline.draft);
    phase_field(to, &c->roofline.middle);
    phase_field(to, &c->roofline.verify);
    number_field(to, predicted);
    number_field(to, measured);
    number_field(to, measured / predicted);
    fputs("</tr>\n", to);
}

static bool has_any(const struct summary *s, uint32_t study)
{
    const struct study *of = &s->e->study[study];

    for (uint32_t k = 0; k < s->study[study].n_points * of->n_methods; k++)
        if (summary_cell(s, study, k / of->n_methods, of->method[k % of->n_methods])->has_roofline)
            return true;
    return false;
}

void report_roofline(FILE *to, const struct report_run *run, uint32_t study)
{
    const struct study *of = &run->s->e->study[study];
    char sweep[FIELD_BYTES];

    fputs("<h3>Roofline</h3>\n", to);
    if (!has_any(run->s, study)) {
        fputs("<p>This run recorded no ceilings of its device: its rounds are held against "
              "nothing.</p>\n",
              to);
        return;
    }
    say_ceilings(to, run);
    heading_sweep(of, sweep, sizeof sweep);
    fputs("<div class=\"wide\"><table><thead><tr><th scope=\"col\">", to);
    html_text(to, sweep);
    fputs("</th><th scope=\"col\">method</th><th scope=\"col\">draft ms</th><th "
          "scope=\"col\">middle ms</th><th scope=\"col\">verify ms</th><th "
          "scope=\"col\">predicted ms</th><th scope=\"col\">measured ms</th><th "
          "scope=\"col\">measured / predicted</th></tr></thead><tbody>\n",
          to);
    for (uint32_t k = 0; k < run->s->study[study].n_points * of->n_methods; k++) {
        uint32_t point = k / of->n_methods;
        enum method method = of->method[k % of->n_methods];
        row(to, of, point, method, summary_cell(run->s, study, point, method));
    }
    fputs("</tbody></table></div>\n", to);
}
