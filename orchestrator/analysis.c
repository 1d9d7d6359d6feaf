#include "orchestrator/analysis.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/analysis_parts.h"
#include "orchestrator/heading.h"

enum { SENTENCE_BYTES = 2048 };

void analysis_say(struct analysis *a, const char *fmt, ...)
{
    char text[SENTENCE_BYTES];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (a->n == a->cap) {
        a->cap = a->cap > 0 ? 2 * a->cap : 8;
        a->sentence = mem_resize(a->sentence, a->cap, sizeof *a->sentence);
    }
    a->sentence[a->n++] = mem_strdup(text);
}

void analysis_release(struct analysis *a)
{
    for (uint32_t i = 0; i < a->n; i++)
        free(a->sentence[i]);
    free(a->sentence);
    *a = (struct analysis){.n = 0};
}

const struct cell *analysis_cell(const struct analysing *a, uint32_t point, enum method method)
{
    return summary_cell(a->s, a->study, point, method);
}

bool analysis_has(const struct analysing *a, enum method method)
{
    for (uint32_t p = 0; p < a->n_points; p++) {
        const struct cell *c = analysis_cell(a, p, method);
        if (!c->present || c->throughput.n == 0)
            return false;
    }
    return a->n_points > 0;
}

bool analysis_exceeds_spread(struct spread x)
{
    /* t(0.975, df) for df = 1 .. 10; beyond, 2.228 is a little strict. */
    static const double t[] = {12.706, 4.303, 3.182, 2.776, 2.571,
                               2.447,  2.365, 2.306, 2.262, 2.228};
    uint32_t df = x.n - 1;

    if (x.n < 2 || !isfinite(x.mean) || !isfinite(x.std))
        return false;
    return fabs(x.mean) > t[(df > 10 ? 10 : df) - 1] * x.std / sqrt((double)x.n);
}

/* ---- differences ---- */

/* Points with one outcome; without a sweep there is one, which has no value to name. */
struct outcome {
    bool is_there;
    char points[512];
};

static void outcome_add(struct outcome *o, const struct study *of, uint32_t point)
{
    char value[64];
    size_t n = strlen(o->points);

    o->is_there = true;
    heading_point(of, point, value, sizeof value);
    if (strcmp(value, "-") != 0)
        snprintf(o->points + n, sizeof o->points - n, "%s%s", n > 0 ? ", " : "", value);
}

static void outcome_say(const struct outcome *o, const char *what, char *text, size_t size)
{
    size_t n = strlen(text);

    if (o->is_there)
        snprintf(text + n, size - n, "%s %s beyond the spread%s%s", n > 0 ? ";" : "", what,
                 o->points[0] != '\0' ? " at " : "", o->points);
}

static void compare(const struct analysing *a, enum method method)
{
    struct outcome above = {0}, below = {0}, within = {0};
    char text[SENTENCE_BYTES] = "";

    for (uint32_t p = 0; p < a->n_points; p++) {
        const struct cell *c = analysis_cell(a, p, method);
        if (c->delta.n == 0)
            continue;
        if (!analysis_exceeds_spread(c->delta))
            outcome_add(&within, a->of, p);
        else
            outcome_add(c->delta.mean > 0 ? &above : &below, a->of, p);
    }
    outcome_say(&above, "faster", text, sizeof text);
    outcome_say(&below, "slower", text, sizeof text);
    outcome_say(&within, "no difference", text, sizeof text);
    if (text[0] != '\0')
        analysis_say(a->to, "%s against %s, paired by seed:%s.", method_name(method),
                     method_name(a->of->reference), text);
}

static void differences(const struct analysing *a)
{
    if (a->s->e->n_seeds < 2) {
        analysis_say(a->to, "One seed: no difference can be told from chance.");
        return;
    }
    for (uint32_t m = 0; m < a->of->n_methods; m++)
        if (a->of->method[m] != a->of->reference)
            compare(a, a->of->method[m]);
}

void analysis_init(struct analysis *out, const struct summary *s, uint32_t study)
{
    struct analysing a = {.to = out,
                          .s = s,
                          .study = study,
                          .n_points = s->study[study].n_points,
                          .of = &s->e->study[study]};

    *out = (struct analysis){.n = 0};
    analysis_bounds(&a);
    differences(&a);
    analysis_expectations(&a);
}
