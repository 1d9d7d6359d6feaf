#include "orchestrator/tables.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/analysis.h"
#include "orchestrator/document_table.h"
#include "orchestrator/heading.h"
#include "orchestrator/sheet.h"

enum { FIELD_BYTES = 96 };

void tables_trial_text(const struct result *r, char *buf, size_t size)
{
    char accepted[16] = "-";
    char start[64];
    snprintf(start, sizeof start, "%-16s %6u doc %u seed %" PRIu64, method_name(r->method),
             r->setting.prefill, r->document + 1, r->seed);
    if (!r->ok) {
        snprintf(buf, size, "%s  failed: %s", start, r->reason);
        return;
    }
    if (isfinite(result_accepted(r)))
        snprintf(accepted, sizeof accepted, "%.2f", result_accepted(r));
    snprintf(buf, size, "%s  %7.2f tok/s %6.2f ms/token acc %s", start, result_tok_per_s(r),
             result_ms_per_token(r), accepted);
}

void tables_trial(FILE *to, const struct result *r)
{
    char text[128 + MSG_TEXT];
    tables_trial_text(r, text, sizeof text);
    fprintf(to, "%s\n", text);
}

/* ---- one study ---- */

static void speed_row(const struct sheet *p, uint32_t point, enum method method)
{
    const struct cell *c = sheet_cell(p, point, method);
    sheet_left(p->to, "  ", 2);
    sheet_left(p->to, method_name(method), 16);
    sheet_spread(p->to, c->throughput, 15);
    sheet_spread(p->to, c->latency, 15);
    sheet_spread(p->to, c->accepted, 15);
    /* Of the reference it is 1 by definition, without a deviation. */
    if (method == p->study->reference && c->throughput.n > 0)
        sheet_right(p->to, "1", 15);
    else
        sheet_spread(p->to, c->speedup, 15);
    fputc('\n', p->to);
}

/* All methods of every point, one below the other. */
static void speed_table(const struct sheet *p)
{
    char what[FIELD_BYTES];
    snprintf(what, sizeof what, "Decode speed; speedup over %s", method_name(p->study->reference));
    sheet_title(p, what);
    fprintf(p->to, "  %-16s%15s%15s%15s%15s\n", "method", "tok/s", "ms/token", "accepted",
            "speedup");
    for (uint32_t point = 0; point < p->s->study[p->index].n_points; point++) {
        sheet_point(p, point);
        for (uint32_t i = 0; i < p->study->n_methods; i++)
            speed_row(p, point, p->study->method[i]);
    }
}

static void speedup_summary(const struct sheet *p)
{
    static const enum method pair[4][2] = {{METHOD_VANILLA_SPECDEC, METHOD_BASELINE},
                                           {METHOD_MSPECKV, METHOD_BASELINE},
                                           {METHOD_MSPECKV_KV_QUANT, METHOD_BASELINE},
                                           {METHOD_MSPECKV_KV_QUANT, METHOD_MSPECKV}};
    char what[FIELD_BYTES];
    snprintf(what, sizeof what, "%s SPEEDUP SUMMARY", p->study->name);
    for (char *c = what; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    sheet_title(p, what);
    sheet_spaces(p->to, 15);
    for (size_t i = 0; i < 4; i++)
        sheet_right(p->to, sheet_short_names[pair[i][0]], 16);
    fputc('\n', p->to);
    sheet_sweep_left(p, 15);
    for (size_t i = 0; i < 4; i++) {
        char over[FIELD_BYTES];
        snprintf(over, sizeof over, "/ %s", sheet_short_names[pair[i][1]]);
        sheet_right(p->to, over, 16);
    }
    fputc('\n', p->to);
    for (uint32_t point = 0; point < p->s->study[p->index].n_points; point++) {
        sheet_point_left(p, point, 15);
        for (size_t i = 0; i < 4; i++)
            sheet_spread(p->to, summary_ratio(p->s, p->index, point, pair[i][0], pair[i][1]), 16);
        fputc('\n', p->to);
    }
}

/* The study's a2, b1, b2: two methods side by side. */
static void pair_table(const struct sheet *p, enum method a, enum method b)
{
    char what[FIELD_BYTES];
    snprintf(what, sizeof what, "%s vs %s, tok/s", method_name(a), method_name(b));
    sheet_title(p, what);
    sheet_sweep_left(p, 15);
    fprintf(p->to, "%15s%18s%16s%15s\n", method_name(a), method_name(b), "delta", "speedup");
    for (uint32_t point = 0; point < p->s->study[p->index].n_points; point++) {
        const struct cell *ca = sheet_cell(p, point, a), *cb = sheet_cell(p, point, b);
        sheet_point_left(p, point, 15);
        sheet_spread(p->to, ca->throughput, 15);
        sheet_spread(p->to, cb->throughput, 18);
        sheet_spread(p->to, cb->delta, 16);
        sheet_spread(p->to, cb->speedup, 15);
        fputc('\n', p->to);
    }
}

static void pair_detail(const struct sheet *p, enum method a, enum method b)
{
    sheet_title(p, "Latency and acceptance");
    sheet_spaces(p->to, 15);
    fprintf(p->to, "%16s%16s%16s%16s\n", "ms/token", "ms/token", "accepted", "accepted");
    sheet_sweep_left(p, 15);
    fprintf(p->to, "%16s%16s%16s%16s\n", sheet_short_names[a], sheet_short_names[b],
            sheet_short_names[a], sheet_short_names[b]);
    for (uint32_t point = 0; point < p->s->study[p->index].n_points; point++) {
        const struct cell *ca = sheet_cell(p, point, a), *cb = sheet_cell(p, point, b);
        sheet_point_left(p, point, 15);
        sheet_spread(p->to, ca->latency, 16);
        sheet_spread(p->to, cb->latency, 16);
        sheet_spread(p->to, ca->accepted, 16);
        sheet_spread(p->to, cb->accepted, 16);
        fputc('\n', p->to);
    }
}

static void cost_row(const struct sheet *p, uint32_t point, enum method method)
{
    const struct cell *c = sheet_cell(p, point, method);
    char text[FIELD_BYTES];
    sheet_left(p->to, "  ", 2);
    sheet_left(p->to, method_name(method), 16);
    heading_number(c->ttft_s, text, sizeof text);
    sheet_right(p->to, text, 17);
    heading_bytes(c->link_bytes_per_token, text, sizeof text);
    sheet_right(p->to, text, 15);
    snprintf(text, sizeof text, "%u", c->effective_resident);
    sheet_right(p->to, text, 10);
    snprintf(text, sizeof text, "%u of %u", c->n_ok, c->n_ok + c->n_failed + c->n_missing);
    sheet_right(p->to, text, 17);
    fputc('\n', p->to);
}

static void cost_table(const struct sheet *p)
{
    sheet_title(p, "Prefill and link");
    fprintf(p->to, "  %-16s%17s%15s%10s%17s\n", "method", "TTFT s", "link/token", "resident",
            "trials ok");
    for (uint32_t point = 0; point < p->s->study[p->index].n_points; point++) {
        sheet_point(p, point);
        for (uint32_t i = 0; i < p->study->n_methods; i++)
            cost_row(p, point, p->study->method[i]);
    }
}

static void round_row(const struct sheet *p, uint32_t point, enum method method)
{
    const struct round_ms *r = &sheet_cell(p, point, method)->round;
    const double part[] = {r->draft, r->middle, r->verify, r->link_wait, r->messages, r->other};
    sheet_left(p->to, "  ", 2);
    sheet_left(p->to, method_name(method), 16);
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        char text[FIELD_BYTES];
        heading_number(part[i], text, sizeof text);
        sheet_right(p->to, text, i == 3 || i == 4 ? 11 : 9);
    }
    fputc('\n', p->to);
}

static void round_table(const struct sheet *p)
{
    sheet_title(p, "Time of a round, ms: where it went");
    fprintf(p->to, "  %-16s%9s%9s%9s%11s%11s%9s\n", "method", "draft", "middle", "verify",
            "link wait", "messages", "other");
    for (uint32_t point = 0; point < p->s->study[p->index].n_points; point++) {
        sheet_point(p, point);
        for (uint32_t i = 0; i < p->study->n_methods; i++)
            round_row(p, point, p->study->method[i]);
    }
}

static void ledger_row(const struct sheet *p, uint32_t point, enum method method)
{
    const struct ledger *kv = &sheet_cell(p, point, method)->kv;
    const uint64_t part[] = {kv->on_chip, kv->resident, kv->tail,        kv->retrieval,
                             kv->staging, kv->draft,    ledger_total(kv)};
    sheet_left(p->to, method_name(method), 16);
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        char text[FIELD_BYTES];
        heading_bytes((double)part[i], text, sizeof text);
        sheet_right(p->to, text, i == 3 ? 10 : 9);
    }
    fputc('\n', p->to);
}

static void ledger_table(const struct sheet *p)
{
    sheet_title(p, "Device KV bytes, largest trial");
    fprintf(p->to, "%-16s%9s%9s%9s%10s%9s%9s%9s\n", "", "on-chip", "resident", "tail", "retrieval",
            "staging", "draft", "total");
    for (uint32_t point = 0; point < p->s->study[p->index].n_points; point++) {
        sheet_point(p, point);
        for (uint32_t i = 0; i < p->study->n_methods; i++)
            ledger_row(p, point, p->study->method[i]);
    }
}

/* True if all points ask `method` for the same work, which then ran once. */
static bool is_one_measurement(const struct study *study, enum method method)
{
    struct setting point = matrix_point_setting(study, 0);
    struct setting first = setting_for_method(&point, method);
    for (uint32_t i = 1; i < matrix_points(study); i++) {
        point = matrix_point_setting(study, i);
        point = setting_for_method(&point, method);
        if (!setting_same(&first, &point))
            return false;
    }
    return matrix_points(study) > 1;
}

static void notes(const struct sheet *p)
{
    char sweep[FIELD_BYTES];
    heading_sweep(p->study, sweep, sizeof sweep);
    for (uint32_t i = 0; i < p->study->n_methods; i++)
        if (is_one_measurement(p->study, p->study->method[i]))
            fprintf(p->to, "%s does not depend on %s: its rows are one measurement.\n",
                    method_name(p->study->method[i]), sweep);
}

/* What the tables above say, in sentences. */
static void paragraph(const struct sheet *p)
{
    struct analysis a;
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);

    CHECK(to != NULL);
    analysis_init(&a, p->s, p->index);
    for (uint32_t i = 0; i < a.n; i++)
        fprintf(to, "%s%s", i > 0 ? " " : "", a.sentence[i]);
    analysis_release(&a);
    CHECK(fclose(to) == 0);
    if (n > 0) {
        fputc('\n', p->to);
        sheet_wrap(p->to, text);
    }
    free(text);
}

static void study_tables(const struct sheet *p)
{
    enum method reference = p->study->reference;
    sheet_heading(p);
    if (p->study->n_methods == 2) {
        enum method other = p->study->method[p->study->method[0] == reference ? 1 : 0];
        pair_table(p, reference, other);
        pair_detail(p, reference, other);
    } else {
        speed_table(p);
        if (p->study->n_methods > 2)
            speedup_summary(p);
    }
    document_table(p);
    cost_table(p);
    round_table(p);
    ledger_table(p);
    notes(p);
    paragraph(p);
}

void tables_print(FILE *to, const struct summary *s)
{
    for (uint32_t i = 0; i < s->e->n_studies; i++) {
        struct sheet p = {.to = to, .s = s, .study = &s->e->study[i], .index = i};
        study_tables(&p);
    }
    if (s->n_failed + s->n_missing > 0)
        fprintf(to, "\n%u results failed and %u are missing; results.jsonl says which and why.\n",
                s->n_failed, s->n_missing);
}
