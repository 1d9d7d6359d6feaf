/*
 * Trials are first laid out on a grid [study][point][method][seed][document];
 * everything is then computed from the grid, so repeats and gaps are plain.
 */
#include "orchestrator/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/stats.h"

/* What one cell is made of: [n_seeds][n_documents], NULL: no result. Only the
 * documents `first` to `end` - 1 count. */
struct grid {
    const struct experiment *e;
    const struct result **at;
    uint32_t first, end;
};

typedef double figure(const struct result *r);

static double figure_ttft(const struct result *r)
{
    return r->prefill_s;
}

static double figure_link_bytes(const struct result *r)
{
    return r->meas.n_tokens > 0 ? (double)r->meas.link_bytes / r->meas.n_tokens : NAN;
}

static struct spread spread_of(const double *x, uint32_t n)
{
    return (struct spread){
        .mean = stats_mean(x, n), .std = n < 2 ? NAN : stats_sample_std(x, n), .n = n};
}

static const struct result *result_at(const struct grid *g, uint32_t seed, uint32_t document)
{
    return g->at[seed * g->e->n_documents + document];
}

static const struct result *good(const struct grid *g, uint32_t seed, uint32_t document)
{
    const struct result *r = result_at(g, seed, document);
    return r != NULL && r->ok ? r : NULL;
}

/* Every result that counts, by one index. */
static const struct result *nth(const struct grid *g, uint32_t i)
{
    uint32_t n = g->end - g->first;
    return result_at(g, i / n, g->first + i % n);
}

/* Mean of `f` over the documents of one seed that `g` has and, where there is
 * another grid, that it has too. NaN: none. */
static double seed_mean(const struct grid *g, const struct grid *other, uint32_t seed, figure *f)
{
    double x[EXPERIMENT_MAX_DOCUMENTS] = {0};
    uint32_t n = 0;
    for (uint32_t d = g->first; d < g->end; d++) {
        const struct result *r = good(g, seed, d);
        if (r == NULL || (other != NULL && good(other, seed, d) == NULL))
            continue;
        double value = f(r);
        if (isfinite(value))
            x[n++] = value;
    }
    return stats_mean(x, n);
}

static struct spread over_seeds(const struct grid *g, figure *f)
{
    double x[EXPERIMENT_MAX_SEEDS] = {0};
    uint32_t n = 0;
    for (uint32_t s = 0; s < g->e->n_seeds; s++) {
        double mean = seed_mean(g, NULL, s, f);
        if (isfinite(mean))
            x[n++] = mean;
    }
    return spread_of(x, n);
}

/* Throughput of `a` over (ratio) or minus `b`, formed per seed. */
static struct spread paired(const struct grid *a, const struct grid *b, bool ratio)
{
    double x[EXPERIMENT_MAX_SEEDS] = {0};
    uint32_t n = 0;
    for (uint32_t s = 0; s < a->e->n_seeds; s++) {
        double of = seed_mean(a, b, s, result_tok_per_s);
        double over = seed_mean(b, a, s, result_tok_per_s);
        double value = ratio ? of / over : of - over;
        if (isfinite(value))
            x[n++] = value;
    }
    return spread_of(x, n);
}

static void raise_to(uint64_t *most, uint64_t value)
{
    *most = value > *most ? value : *most;
}

static void add_ledger(struct ledger *kv, const struct msg_result *m)
{
    raise_to(&kv->on_chip, m->kv_on_chip);
    raise_to(&kv->resident, m->kv_resident);
    raise_to(&kv->tail, m->kv_tail);
    raise_to(&kv->retrieval, m->kv_retrieval);
    raise_to(&kv->staging, m->kv_staging);
    raise_to(&kv->draft, m->kv_draft);
}

uint64_t ledger_total(const struct ledger *kv)
{
    return kv->on_chip + kv->resident + kv->tail + kv->retrieval + kv->staging + kv->draft;
}

/* Sums first: seconds, link wait taken out of the pass that waited. */
static void add_round(struct round_ms *sum, const struct msg_result *m)
{
    sum->draft += m->draft_s;
    sum->middle += m->middle_s;
    sum->verify += m->verify_s - m->link_wait_s;
    sum->link_wait += m->link_wait_s;
    sum->messages += m->message_s;
    sum->other += m->decode_s - m->draft_s - m->middle_s - m->verify_s - m->message_s;
}

static struct round_ms round_mean(const struct grid *g)
{
    struct round_ms sum = {0};
    double n_rounds = 0, scale;
    for (uint32_t i = 0; i < g->e->n_seeds * (g->end - g->first); i++) {
        const struct result *r = nth(g, i);
        if (r == NULL || !r->ok)
            continue;
        add_round(&sum, &r->meas);
        n_rounds += r->meas.rounds;
    }
    scale = n_rounds > 0 ? 1e3 / n_rounds : NAN;
    return (struct round_ms){sum.draft * scale,     sum.middle * scale,   sum.verify * scale,
                             sum.link_wait * scale, sum.messages * scale, sum.other * scale};
}

double round_ms_total(const struct round_ms *r)
{
    return r->draft + r->middle + r->verify + r->link_wait + r->messages + r->other;
}

static void fill_roofline(struct cell *cell, const struct grid *g)
{
    struct roofline sum = {.draft = {{0}}}, one;
    double n_rounds = 0;

    for (uint32_t i = 0; i < g->e->n_seeds * (g->end - g->first); i++) {
        const struct result *r = nth(g, i);
        if (r == NULL || !r->ok || r->meas.rounds == 0)
            continue;
        if (!roofline_of(r, &one))
            return;
        roofline_add(&sum, &one);
        n_rounds += r->meas.rounds;
    }
    if (n_rounds == 0)
        return;
    roofline_scale(&sum, 1e3 / n_rounds);
    cell->roofline = sum;
    cell->has_roofline = true;
}

static void count_cell(struct cell *cell, const struct grid *g)
{
    for (uint32_t i = 0; i < g->e->n_seeds * (g->end - g->first); i++) {
        const struct result *r = nth(g, i);
        if (r == NULL) {
            cell->n_missing++;
        } else if (!r->ok) {
            cell->n_failed++;
        } else {
            cell->n_ok++;
            add_ledger(&cell->kv, &r->meas);
            cell->effective_resident = r->meas.effective_resident;
        }
    }
}

static void fill_cell(struct cell *cell, const struct grid *g, const struct grid *reference)
{
    cell->present = true;
    count_cell(cell, g);
    cell->throughput = over_seeds(g, result_tok_per_s);
    cell->latency = over_seeds(g, result_ms_per_token);
    cell->accepted = over_seeds(g, result_accepted);
    cell->ttft_s = over_seeds(g, figure_ttft).mean;
    cell->link_bytes_per_token = over_seeds(g, figure_link_bytes).mean;
    cell->round = round_mean(g);
    fill_roofline(cell, g);
    cell->delta = paired(g, reference, false);
    cell->speedup = paired(g, reference, true);
}

static bool study_has(const struct study *study, enum method method)
{
    for (uint32_t i = 0; i < study->n_methods; i++)
        if (study->method[i] == method)
            return true;
    return false;
}

static void fill_documents(struct cell *out, struct grid grid, struct grid reference)
{
    for (uint32_t d = 0; d < grid.e->n_documents; d++) {
        grid.first = reference.first = d;
        grid.end = reference.end = d + 1;
        fill_cell(&out[d], &grid, &reference);
    }
}

static void fill_point(struct summary *s, uint32_t study, uint32_t point, struct grid *grid)
{
    const struct study *of = &s->e->study[study];
    struct summary_study *out = &s->study[study];
    for (uint32_t m = 0; m < METHOD_COUNT; m++) {
        if (!study_has(of, (enum method)m))
            continue;
        struct cell *cell = &out->cell[point * METHOD_COUNT + m];
        fill_cell(cell, &grid[m], &grid[of->reference]);
        if (out->by_document != NULL)
            fill_documents(out->by_document + (point * METHOD_COUNT + m) * s->e->n_documents,
                           grid[m], grid[of->reference]);
        s->n_failed += cell->n_failed;
        s->n_missing += cell->n_missing;
        for (uint32_t k = 0; k < METHOD_COUNT; k++)
            out->ratio[(point * METHOD_COUNT + m) * METHOD_COUNT + k] =
                paired(&grid[m], &grid[k], true);
    }
}

static int64_t seed_index(const struct experiment *e, uint64_t seed)
{
    for (uint32_t i = 0; i < e->n_seeds; i++)
        if (e->seed[i] == seed)
            return i;
    return -1;
}

/* Puts the results of one study where they belong; the last of equal ones stays. */
static void lay_out(struct grid *grid, const struct experiment *e, uint32_t study,
                    const struct result *result, uint32_t n_results)
{
    for (uint32_t i = 0; i < n_results; i++) {
        const struct result *r = &result[i];
        int64_t seed = seed_index(e, r->seed);
        if (seed < 0 || r->document >= e->n_documents)
            continue;
        for (uint32_t u = 0; u < r->n_uses; u++) {
            if (r->use[u].study != study)
                continue;
            struct grid *g = &grid[r->use[u].point * METHOD_COUNT + (uint32_t)r->method];
            g->at[(uint32_t)seed * e->n_documents + r->document] = r;
        }
    }
}

static void fill_study(struct summary *s, uint32_t study, const struct result *result,
                       uint32_t n_results)
{
    const struct experiment *e = s->e;
    struct summary_study *out = &s->study[study];
    out->n_points = matrix_points(&e->study[study]);
    uint32_t n_cells = out->n_points * METHOD_COUNT;
    size_t per_cell = (size_t)e->n_seeds * e->n_documents;
    const struct result **slots = mem_array(n_cells * per_cell, sizeof *slots);
    struct grid *grid = mem_array(n_cells, sizeof *grid);

    out->cell = mem_array(n_cells, sizeof *out->cell);
    out->ratio = mem_array((size_t)n_cells * METHOD_COUNT, sizeof *out->ratio);
    if (e->n_documents > 1)
        out->by_document = mem_array((size_t)n_cells * e->n_documents, sizeof *out->by_document);
    for (uint32_t i = 0; i < n_cells; i++)
        grid[i] = (struct grid){.e = e, .at = slots + i * per_cell, .end = e->n_documents};
    for (uint32_t i = 0; i < n_cells * METHOD_COUNT; i++)
        out->ratio[i] = (struct spread){.mean = NAN, .std = NAN};
    lay_out(grid, e, study, result, n_results);
    for (uint32_t p = 0; p < out->n_points; p++)
        fill_point(s, study, p, grid + p * METHOD_COUNT);
    free(grid);
    free(slots);
}

static void name_documents(struct summary *s, const struct result *result, uint32_t n_results)
{
    s->document_name = mem_array(s->e->n_documents, sizeof *s->document_name);
    for (uint32_t i = 0; i < n_results; i++)
        if (result[i].document < s->e->n_documents)
            memcpy(s->document_name[result[i].document], result[i].document_name,
                   sizeof *s->document_name);
}

void summary_open(struct summary **out, const struct experiment *e, const struct result *result,
                  uint32_t n_results, double link_gbps)
{
    struct summary *s = mem_zalloc(sizeof *s);
    s->e = e;
    s->link_gbps = link_gbps;
    name_documents(s, result, n_results);
    for (uint32_t i = 0; i < e->n_studies; i++)
        fill_study(s, i, result, n_results);
    *out = s;
}

void summary_close(struct summary *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < EXPERIMENT_MAX_TABLES; i++) {
        free(s->study[i].cell);
        free(s->study[i].by_document);
        free(s->study[i].ratio);
    }
    free(s->document_name);
    free(s);
}

const struct cell *summary_cell(const struct summary *s, uint32_t study, uint32_t point,
                                enum method method)
{
    return &s->study[study].cell[point * METHOD_COUNT + (uint32_t)method];
}

const struct cell *summary_document(const struct summary *s, uint32_t study, uint32_t point,
                                    enum method method, uint32_t document)
{
    const struct cell *cells = s->study[study].by_document;
    CHECK(cells != NULL && document < s->e->n_documents);
    return &cells[(point * METHOD_COUNT + (uint32_t)method) * s->e->n_documents + document];
}

struct spread summary_ratio(const struct summary *s, uint32_t study, uint32_t point, enum method of,
                            enum method over)
{
    return s->study[study]
        .ratio[(point * METHOD_COUNT + (uint32_t)of) * METHOD_COUNT + (uint32_t)over];
}
