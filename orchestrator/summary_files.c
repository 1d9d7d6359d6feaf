#include "orchestrator/summary_files.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "orchestrator/heading.h"
#include "orchestrator/replay_plan.h"
#include "orchestrator/tables.h"

enum { FIELD_BYTES = 96 };

/* The figures of a cell, once for all formats. */
static const struct figure {
    const char *name;
    size_t offset;
    int decimals; /* in summary.md */
} figures[] = {
    {"tok_per_s", offsetof(struct cell, throughput), 2},
    {"ms_per_token", offsetof(struct cell, latency), 3},
    {"accepted", offsetof(struct cell, accepted), 2},
    {"delta_tok_per_s", offsetof(struct cell, delta), 2},
    {"speedup", offsetof(struct cell, speedup), 2},
};
enum { FIGURES = sizeof figures / sizeof figures[0] };

static struct spread figure_of(const struct cell *cell, const struct figure *figure)
{
    return *(const struct spread *)(const void *)((const char *)cell + figure->offset);
}

static const struct ledger_part {
    const char *name;
    size_t offset;
} ledger_parts[] = {
    {"kv_on_chip", offsetof(struct ledger, on_chip)},
    {"kv_resident", offsetof(struct ledger, resident)},
    {"kv_tail", offsetof(struct ledger, tail)},
    {"kv_retrieval", offsetof(struct ledger, retrieval)},
    {"kv_staging", offsetof(struct ledger, staging)},
    {"kv_draft", offsetof(struct ledger, draft)},
};
enum { LEDGER_PARTS = sizeof ledger_parts / sizeof ledger_parts[0] };

static uint64_t ledger_part(const struct ledger *kv, const struct ledger_part *part)
{
    return *(const uint64_t *)(const void *)((const char *)kv + part->offset);
}

/* ---- csv ---- */

static void csv_number(FILE *to, double x)
{
    if (isfinite(x))
        fprintf(to, ",%.9g", x);
    else
        fputc(',', to);
}

/* Quoted, since file names hold commas and quotes. */
static void csv_text(FILE *to, const char *text)
{
    fputs(",\"", to);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', to);
        fputc(*text, to);
    }
    fputc('"', to);
}

static void csv_figures(FILE *to, const struct cell *c)
{
    fprintf(to, ",%u,%u,%u", c->n_ok, c->n_failed, c->n_missing);
    for (size_t i = 0; i < FIGURES; i++) {
        csv_number(to, figure_of(c, &figures[i]).mean);
        csv_number(to, figure_of(c, &figures[i]).std);
    }
    csv_number(to, c->ttft_s);
    csv_number(to, c->link_bytes_per_token);
    csv_number(to, c->round.draft);
    csv_number(to, c->round.middle);
    csv_number(to, c->round.verify);
    csv_number(to, c->round.link_wait);
    csv_number(to, c->round.messages);
    csv_number(to, c->round.other);
    fprintf(to, ",%u", c->effective_resident);
    for (size_t i = 0; i < LEDGER_PARTS; i++)
        fprintf(to, ",%llu", (unsigned long long)ledger_part(&c->kv, &ledger_parts[i]));
}

/* Which cell: what its row and those of its documents have in common. */
struct cell_at {
    const struct summary *s;
    uint32_t study, point;
    enum method method;
};

static void csv_row(FILE *to, const struct cell_at *at, const struct cell *c, const char *document,
                    const char *document_name)
{
    const struct study *of = &at->s->e->study[at->study];
    char sweep[FIELD_BYTES], value[FIELD_BYTES];
    struct setting replayed = {0};
    heading_sweep(of, sweep, sizeof sweep);
    heading_point(of, at->point, value, sizeof value);
    fprintf(to, "%s,%s,%s,%s,%s,%u,%u,%s", of->name, sweep, value, method_name(at->method),
            method_name(of->reference), at->s->e->n_documents, at->s->e->n_seeds, document);
    csv_text(to, document_name);
    csv_figures(to, c);
    csv_number(to, at->s->link_gbps > 0 ? at->s->link_gbps : NAN);
    fprintf(to, ",%s", at->s->random_weights ? "true" : "false");
    csv_number(to, at->s->device_link_gbps > 0 ? at->s->device_link_gbps : NAN);
    replay_plan_apply(of, at->point, at->method, &replayed);
    csv_number(to, replayed.replay_accepted > 0 ? replayed.replay_accepted : NAN);
    fputc('\n', to);
}

/* The mean of the cell, then its documents where there are several. */
static void csv_rows(FILE *to, const struct cell_at *at)
{
    const struct summary *s = at->s;
    csv_row(to, at, summary_cell(s, at->study, at->point, at->method), "mean", "");
    for (uint32_t d = 0; s->e->n_documents > 1 && d < s->e->n_documents; d++) {
        char number[16];
        snprintf(number, sizeof number, "%u", d + 1);
        csv_row(to, at, summary_document(s, at->study, at->point, at->method, d), number,
                s->document_name[d]);
    }
}

void summary_files_csv(FILE *to, const struct summary *s)
{
    fprintf(to, "study,sweep,point,method,reference,documents,seeds,document,document_name,"
                "ok,failed,missing");
    for (size_t i = 0; i < FIGURES; i++)
        fprintf(to, ",%s,%s_std", figures[i].name, figures[i].name);
    fprintf(to, ",ttft_s,link_bytes_per_token,round_draft_ms,round_middle_ms,"
                "round_verify_ms,round_link_wait_ms,round_messages_ms,round_other_ms,"
                "effective_resident");
    for (size_t i = 0; i < LEDGER_PARTS; i++)
        fprintf(to, ",%s", ledger_parts[i].name);
    fprintf(to, ",simulated_link_gbps,random_weights,device_link_gbps,replayed_acceptance\n");
    for (uint32_t i = 0; i < s->e->n_studies; i++)
        for (uint32_t p = 0; p < s->study[i].n_points; p++)
            for (uint32_t m = 0; m < s->e->study[i].n_methods; m++)
                csv_rows(to, &(struct cell_at){s, i, p, s->e->study[i].method[m]});
}

/* ---- markdown ---- */

static void md_row(FILE *to, const struct summary *s, uint32_t study, uint32_t point,
                   enum method method)
{
    const struct cell *c = summary_cell(s, study, point, method);
    char text[FIELD_BYTES];
    heading_point(&s->e->study[study], point, text, sizeof text);
    fprintf(to, "| %s | %s |", text, method_name(method));
    for (size_t i = 0; i < FIGURES; i++) {
        heading_spread(figure_of(c, &figures[i]), figures[i].decimals, text, sizeof text);
        fprintf(to, " %s |", text);
    }
    heading_number(c->ttft_s, text, sizeof text);
    fprintf(to, " %s |", text);
    heading_bytes(c->link_bytes_per_token, text, sizeof text);
    fprintf(to, " %s |", text);
    heading_bytes((double)ledger_total(&c->kv), text, sizeof text);
    fprintf(to, " %s | %u/%u |\n", text, c->n_ok, c->n_ok + c->n_failed + c->n_missing);
}

/* Signs that would be markup are escaped. */
static void md_text(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("\\`*_|<[&~", *text) != NULL)
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void md_document_row(FILE *to, const struct cell_at *at, uint32_t document)
{
    const struct summary *s = at->s;
    const struct cell *c = summary_document(s, at->study, at->point, at->method, document);
    char text[FIELD_BYTES];
    heading_point(&s->e->study[at->study], at->point, text, sizeof text);
    fprintf(to, "| %s | %s | %u ", text, method_name(at->method), document + 1);
    md_text(to, s->document_name[document]);
    fprintf(to, " |");
    for (size_t i = 0; i < FIGURES; i++) {
        heading_spread(figure_of(c, &figures[i]), figures[i].decimals, text, sizeof text);
        fprintf(to, " %s |", text);
    }
    fputc('\n', to);
}

static void md_documents(FILE *to, const struct summary *s, uint32_t study)
{
    const struct study *of = &s->e->study[study];
    char sweep[FIELD_BYTES];
    heading_sweep(of, sweep, sizeof sweep);
    fprintf(to,
            "| %s | method | document | tok/s | ms/token | accepted | delta tok/s | speedup |\n"
            "|---|---|---|---|---|---|---|---|\n",
            sweep);
    for (uint32_t p = 0; p < s->study[study].n_points; p++)
        for (uint32_t m = 0; m < of->n_methods; m++)
            for (uint32_t d = 0; d < s->e->n_documents; d++)
                md_document_row(to, &(struct cell_at){s, study, p, of->method[m]}, d);
    fputc('\n', to);
}

static void md_study(FILE *to, const struct summary *s, uint32_t study)
{
    const struct study *of = &s->e->study[study];
    char text[HEADING_BYTES];
    heading_trials(s, text);
    fprintf(to, "## %s: %s\n\n%s.\n", of->name, of->title, text);
    heading_fixed(of, text);
    fprintf(to, "%s.\nDelta and speedup are against %s, formed per seed.\n\n", text,
            method_name(of->reference));
    heading_sweep(of, text, sizeof text);
    fprintf(to,
            "| %s | method | tok/s | ms/token | accepted | delta tok/s | speedup | TTFT s | "
            "link/token | device KV | trials ok |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
            text);
    for (uint32_t p = 0; p < s->study[study].n_points; p++)
        for (uint32_t m = 0; m < of->n_methods; m++)
            md_row(to, s, study, p, of->method[m]);
    fputc('\n', to);
    if (s->e->n_documents > 1)
        md_documents(to, s, study);
}

void summary_files_md(FILE *to, const struct summary *s)
{
    fprintf(to, "# %s\n\n", s->e->name);
    for (uint32_t i = 0; i < s->e->n_studies; i++)
        md_study(to, s, i);
    fprintf(to, "The same as on the console:\n\n```\n");
    tables_print(to, s);
    fprintf(to, "```\n");
}

/* ---- json ---- */

static json_t *json_number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *json_spread(struct spread x)
{
    return json_pack("{s:o, s:o, s:i}", "mean", json_number_or_null(x.mean), "std",
                     json_number_or_null(x.std), "seeds", (int)x.n);
}

static json_t *json_round(const struct round_ms *r)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "draft", json_number_or_null(r->draft),
                     "middle", json_number_or_null(r->middle), "verify",
                     json_number_or_null(r->verify), "link_wait", json_number_or_null(r->link_wait),
                     "messages", json_number_or_null(r->messages), "other",
                     json_number_or_null(r->other));
}

/* What a cell and each of its documents have in common. */
static json_t *json_figures(const struct cell *c)
{
    json_t *object = json_pack("{s:i, s:i, s:i}", "ok", (int)c->n_ok, "failed", (int)c->n_failed,
                               "missing", (int)c->n_missing);
    for (size_t i = 0; i < FIGURES; i++)
        json_object_set_new(object, figures[i].name, json_spread(figure_of(c, &figures[i])));
    json_object_set_new(object, "ttft_s", json_number_or_null(c->ttft_s));
    return object;
}

static json_t *json_documents(const struct summary *s, uint32_t study, uint32_t point,
                              enum method method)
{
    json_t *list = json_array();
    for (uint32_t d = 0; s->e->n_documents > 1 && d < s->e->n_documents; d++) {
        json_t *one = json_figures(summary_document(s, study, point, method, d));
        json_object_set_new(one, "document", json_integer(d));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *json_cell(const struct summary *s, uint32_t study, uint32_t point,
                         enum method method)
{
    const struct study *of = &s->e->study[study];
    const struct cell *c = summary_cell(s, study, point, method);
    json_t *cell = json_figures(c);
    json_object_set_new(cell, "method", json_string(method_name(method)));
    json_t *at = json_object();
    for (uint32_t i = 0; i < of->n_sweeps; i++)
        json_object_set_new(at, of->sweep[i].key, json_real(matrix_point_value(of, point, i)));
    json_object_set_new(cell, "at", at);
    json_object_set_new(cell, "link_bytes_per_token", json_number_or_null(c->link_bytes_per_token));
    json_object_set_new(cell, "round_ms", json_round(&c->round));
    json_object_set_new(cell, "effective_resident", json_integer(c->effective_resident));
    for (size_t i = 0; i < LEDGER_PARTS; i++)
        json_object_set_new(cell, ledger_parts[i].name,
                            json_integer((json_int_t)ledger_part(&c->kv, &ledger_parts[i])));
    json_t *over = json_object();
    for (uint32_t m = 0; m < of->n_methods; m++)
        json_object_set_new(over, method_name(of->method[m]),
                            json_spread(summary_ratio(s, study, point, method, of->method[m])));
    json_object_set_new(cell, "speedup_over", over);
    json_object_set_new(cell, "by_document", json_documents(s, study, point, method));
    return cell;
}

static json_t *json_study(const struct summary *s, uint32_t study)
{
    const struct study *of = &s->e->study[study];
    json_t *cells = json_array();
    for (uint32_t p = 0; p < s->study[study].n_points; p++)
        for (uint32_t m = 0; m < of->n_methods; m++)
            json_array_append_new(cells, json_cell(s, study, p, of->method[m]));
    return json_pack("{s:s, s:s, s:s, s:o}", "study", of->name, "title", of->title, "reference",
                     method_name(of->reference), "cells", cells);
}

char *summary_files_json(const struct summary *s)
{
    json_t *studies = json_array(), *seeds = json_array(), *names = json_array();
    for (uint32_t i = 0; i < s->e->n_studies; i++)
        json_array_append_new(studies, json_study(s, i));
    for (uint32_t i = 0; i < s->e->n_seeds; i++)
        json_array_append_new(seeds, json_integer((json_int_t)s->e->seed[i]));
    for (uint32_t d = 0; d < s->e->n_documents; d++)
        json_array_append_new(names, json_string(s->document_name[d]));
    json_t *all =
        json_pack("{s:s, s:i, s:o, s:i, s:o, s:o, s:o, s:b, s:b, s:o}", "name", s->e->name,
                  "documents", (int)s->e->n_documents, "document_names", names, "documents_skipped",
                  (int)s->n_skipped, "seeds", seeds, "simulated_link_gbps",
                  json_number_or_null(s->link_gbps > 0 ? s->link_gbps : NAN), "device_link_gbps",
                  json_number_or_null(s->device_link_gbps > 0 ? s->device_link_gbps : NAN),
                  "random_weights", (int)s->random_weights, "replayed_acceptance",
                  (int)replay_plan_any(s->e), "studies", studies);
    CHECK(all != NULL);
    char *text = json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    json_decref(all);
    CHECK(text != NULL);
    return text;
}

/* ---- the files ---- */

static enum status write_in(const char *dir, const char *name, const char *bytes, size_t n,
                            struct err *err)
{
    char *path = mem_printf("%s/%s", dir, name);
    enum status st = whole_file_write(path, bytes, n, err);
    free(path);
    return st;
}

static enum status write_printed(const struct summary *s, const char *dir, const char *name,
                                 void (*print)(FILE *, const struct summary *), struct err *err)
{
    char *bytes = NULL;
    size_t n = 0;
    FILE *memory = open_memstream(&bytes, &n);
    CHECK(memory != NULL);
    print(memory, s);
    CHECK(fclose(memory) == 0);
    enum status st = write_in(dir, name, bytes, n, err);
    free(bytes);
    return st;
}

enum status summary_files_write(const struct summary *s, const char *dir, struct err *err)
{
    char *json = summary_files_json(s);
    enum status st = write_in(dir, "summary.json", json, strlen(json), err);
    free(json);
    if (st == ST_OK)
        st = write_printed(s, dir, "summary.csv", summary_files_csv, err);
    if (st == ST_OK)
        st = write_printed(s, dir, "summary.md", summary_files_md, err);
    return st;
}
