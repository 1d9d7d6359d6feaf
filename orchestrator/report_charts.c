#include "orchestrator/report_charts.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "orchestrator/heading.h"

/* Told apart also by readers who do not see red and green alike, and readable
 * on white and on black. */
static const char *const method_colour[METHOD_COUNT] = {"#888888", "#d98e04", "#2f7ed8", "#0f9d76"};
static const char *const part_colour[6] = {"#2f7ed8", "#0f9d76", "#d98e04",
                                           "#b0589c", "#888888", "#c44e38"};

struct filling {
    const struct summary *s;
    const struct results *results;
    uint32_t study;
    const struct study *of;
    struct chart *chart; /* [REPORT_CHARTS] */
};

/* Where the box of method number m of the study stands at a point. */
static double box_width(const struct filling *f)
{
    return 0.84 / f->of->n_methods;
}

static double box_x(const struct filling *f, uint32_t point, uint32_t m)
{
    return point + (m + 0.5) * box_width(f) - 0.42;
}

static const struct cell *cell_of(const struct filling *f, uint32_t point, uint32_t m)
{
    return summary_cell(f->s, f->study, point, f->of->method[m]);
}

/* ---- one measurement per cell ---- */

struct measure {
    enum report_chart chart;
    const char *stem, *title, *label;
    struct spread (*of_cell)(const struct cell *c);
    double (*of_trial)(const struct result *r);
};

static struct spread cell_throughput(const struct cell *c)
{
    return c->throughput;
}

static struct spread cell_latency(const struct cell *c)
{
    return c->latency;
}

static struct spread cell_accepted(const struct cell *c)
{
    return c->accepted;
}

static struct spread cell_link(const struct cell *c)
{
    return (struct spread){c->link_bytes_per_token / 1e6, NAN, 1};
}

static double trial_link(const struct result *r)
{
    return r->meas.n_tokens > 0 ? (double)r->meas.link_bytes / r->meas.n_tokens / 1e6 : NAN;
}

static const struct measure measures[] = {
    {REPORT_THROUGHPUT, "throughput", "Throughput and speedup", "tokens per second",
     cell_throughput, result_tok_per_s},
    {REPORT_LATENCY, "latency", "Latency", "milliseconds per token", cell_latency,
     result_ms_per_token},
    {REPORT_ACCEPTED, "accepted", "Accepted draft tokens per verification", "tokens", cell_accepted,
     result_accepted},
    {REPORT_LINK, "link", "Bytes over the link", "MB per token", cell_link, trial_link},
};
enum { MEASURES = sizeof measures / sizeof *measures };

static void add_dots(const struct filling *f, const struct measure *of, uint32_t m,
                     struct chart_series *series)
{
    for (uint32_t i = 0; i < f->results->n; i++) {
        const struct result *r = &f->results->result[i];
        for (uint32_t u = 0; r->ok && r->method == f->of->method[m] && u < r->n_uses; u++)
            if (r->use[u].study == f->study)
                chart_dot(series, box_x(f, r->use[u].point, m), of->of_trial(r));
    }
}

static void fill_measure(const struct filling *f, const struct measure *of)
{
    struct chart *c = &f->chart[of->chart];

    for (uint32_t m = 0; m < f->of->n_methods; m++) {
        enum method method = f->of->method[m];
        struct chart_series *s =
            chart_add(c, method_name(method), method_colour[method], CHART_BOXES);
        s->width = box_width(f) * 0.92;
        for (uint32_t p = 0; p < f->s->study[f->study].n_points; p++) {
            struct spread x = of->of_cell(cell_of(f, p, m));
            chart_value(s, (struct chart_value){box_x(f, p, m), 0, x.mean, x.std});
        }
        add_dots(f, of, m, s);
    }
    snprintf(c->y_label, sizeof c->y_label, "%s", of->label);
}

static void add_speedups(const struct filling *f)
{
    struct chart *c = &f->chart[REPORT_THROUGHPUT];

    for (uint32_t m = 0; m < f->of->n_methods; m++) {
        enum method method = f->of->method[m];
        char name[CHART_WORDS];
        struct chart_series *s;
        if (method == f->of->reference)
            continue;
        snprintf(name, sizeof name, "speedup of %s", method_name(method));
        s = chart_add(c, name, method_colour[method], CHART_LINE);
        s->on_right = true;
        for (uint32_t p = 0; p < f->s->study[f->study].n_points; p++) {
            struct spread x = cell_of(f, p, m)->speedup;
            chart_value(s, (struct chart_value){box_x(f, p, m), 0, x.mean, NAN});
        }
    }
    snprintf(c->right_label, sizeof c->right_label, "speedup over %s",
             method_name(f->of->reference));
}

/* ---- parts that add up ---- */

enum { PARTS = 6 };

static const char *const kv_part[PARTS] = {"on chip",   "resident", "tail",
                                           "retrieval", "staging",  "draft"};
static const char *const round_part[PARTS] = {"draft",         "middle",   "verify",
                                              "wait for link", "messages", "other"};

static void kv_parts(const struct cell *c, double part[PARTS])
{
    const uint64_t bytes[PARTS] = {c->kv.on_chip,   c->kv.resident, c->kv.tail,
                                   c->kv.retrieval, c->kv.staging,  c->kv.draft};

    for (int i = 0; i < PARTS; i++)
        part[i] = (double)bytes[i] / 1e6;
}

static void round_parts(const struct cell *c, double part[PARTS])
{
    const double ms[PARTS] = {c->round.draft,     c->round.middle,   c->round.verify,
                              c->round.link_wait, c->round.messages, c->round.other};

    memcpy(part, ms, sizeof ms);
}

static void fill_stack(const struct filling *f, struct chart *c, const char *const name[PARTS],
                       void (*parts_of)(const struct cell *c, double part[PARTS]))
{
    uint32_t n_points = f->s->study[f->study].n_points;

    for (int i = 0; i < PARTS; i++)
        chart_add(c, name[i], part_colour[i], CHART_BOXES)->width = box_width(f) * 0.92;
    for (uint32_t k = 0; k < n_points * f->of->n_methods; k++) {
        uint32_t p = k / f->of->n_methods, m = k % f->of->n_methods;
        double part[PARTS], base = 0;
        parts_of(cell_of(f, p, m), part);
        for (int i = 0; i < PARTS; i++) {
            chart_value(&c->series[i],
                        (struct chart_value){box_x(f, p, m), base, base + part[i], NAN});
            base += part[i];
        }
    }
}

/* The order of the boxes, since a stack's colours do not tell methods apart. */
static void name_boxes(const struct filling *f, struct chart *c)
{
    size_t n = 0;

    for (uint32_t m = 0; m < f->of->n_methods && n < sizeof c->order; m++)
        n += (size_t)snprintf(c->order + n, sizeof c->order - n, "%s%s",
                              m == 0 ? "left to right: " : ", ", method_name(f->of->method[m]));
}

static void fill_stacks(const struct filling *f)
{
    struct chart *kv = &f->chart[REPORT_KV], *round = &f->chart[REPORT_ROUND];

    fill_stack(f, kv, kv_part, kv_parts);
    fill_stack(f, round, round_part, round_parts);
    name_boxes(f, kv);
    name_boxes(f, round);
    snprintf(kv->y_label, sizeof kv->y_label, "MB");
    snprintf(round->y_label, sizeof round->y_label, "milliseconds per round");
}

/* ---- acceptance by position ---- */

static void position_counts(const struct filling *f, enum method method, double *accepted,
                            double *proposed)
{
    for (uint32_t i = 0; i < f->results->n; i++) {
        const struct result *r = &f->results->result[i];
        bool is_used = false;
        for (uint32_t u = 0; u < r->n_uses; u++)
            is_used = is_used || r->use[u].study == f->study;
        if (!r->ok || r->method != method || !is_used)
            continue;
        for (int k = 0; k < MSG_MAX_ROWS; k++) {
            accepted[k] += r->meas.accepted_at[k];
            proposed[k] += r->meas.proposed_at[k];
        }
    }
}

static void fill_positions(const struct filling *f)
{
    struct chart *c = &f->chart[REPORT_POSITION];
    uint32_t longest = 0;

    for (uint32_t m = 0; m < f->of->n_methods; m++) {
        double accepted[MSG_MAX_ROWS] = {0}, proposed[MSG_MAX_ROWS] = {0};
        enum method method = f->of->method[m];
        struct chart_series *s =
            chart_add(c, method_name(method), method_colour[method], CHART_LINE);
        position_counts(f, method, accepted, proposed);
        for (uint32_t k = 0; k < MSG_MAX_ROWS; k++) {
            if (proposed[k] == 0)
                continue;
            chart_value(s, (struct chart_value){k + 1, 0, accepted[k] / proposed[k], NAN});
            longest = k + 1 > longest ? k + 1 : longest;
        }
    }
    for (uint32_t k = 1; k <= longest; k++) {
        char label[16];
        snprintf(label, sizeof label, "%u", k);
        chart_tick(c, k, label);
    }
    snprintf(c->x_label, sizeof c->x_label, "position in the proposal");
    snprintf(c->y_label, sizeof c->y_label, "accepted of proposed");
}

/* ---- all ---- */

static void init_chart(const struct filling *f, enum report_chart which, const char *stem,
                       const char *title)
{
    struct chart *c = &f->chart[which];
    char file[64], words[CHART_WORDS], trials[HEADING_BYTES];
    char safe[sizeof f->of->name];
    size_t n = 0;

    for (; f->of->name[n] != '\0'; n++)
        safe[n] = isalnum((unsigned char)f->of->name[n]) ? f->of->name[n] : '_';
    safe[n] = '\0';
    snprintf(file, sizeof file, "%s_%s", safe, stem);
    snprintf(words, sizeof words, "%s: %s", f->of->name, title);
    chart_init(c, file, words);
    heading_trials(f->s, trials);
    snprintf(c->note, sizeof c->note, "%s", trials);
}

static void name_points(const struct filling *f, struct chart *c)
{
    char label[CHART_WORDS];

    heading_sweep(f->of, c->x_label, sizeof c->x_label);
    for (uint32_t p = 0; p < f->s->study[f->study].n_points; p++) {
        heading_point(f->of, p, label, sizeof label);
        chart_tick(c, p, label);
    }
}

void report_charts_init(struct report_charts *out, const struct summary *s,
                        const struct results *results, uint32_t study)
{
    struct filling f = {s, results, study, &s->e->study[study], out->chart};

    for (int i = 0; i < MEASURES; i++)
        init_chart(&f, measures[i].chart, measures[i].stem, measures[i].title);
    init_chart(&f, REPORT_KV, "device_kv", "KV on the device");
    init_chart(&f, REPORT_ROUND, "round", "Time of a round by phase");
    init_chart(&f, REPORT_POSITION, "position", "Acceptance by position");
    for (int i = 0; i < MEASURES; i++)
        fill_measure(&f, &measures[i]);
    add_speedups(&f);
    fill_stacks(&f);
    fill_positions(&f);
    for (int i = 0; i < REPORT_CHARTS; i++)
        if (i != REPORT_POSITION)
            name_points(&f, &out->chart[i]);
}

void report_charts_release(struct report_charts *charts)
{
    for (int i = 0; i < REPORT_CHARTS; i++)
        chart_release(&charts->chart[i]);
}
