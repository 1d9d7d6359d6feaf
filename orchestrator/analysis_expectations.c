/*
 * The expectations are those of the original study: over context (a1), over
 * residency (a2), over offload pressure (b1), over output length (b2). Which one
 * applies is told by what is swept.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/analysis_parts.h"
#include "orchestrator/heading.h"

/* A step of a sweep that changes less than this adds nothing worth having. */
static const double saturated = 0.05;

static const char *verdict(bool holds)
{
    return holds ? "holds" : "does not hold";
}

static double tok_per_s(const struct analysing *a, uint32_t point, enum method method)
{
    return analysis_cell(a, point, method)->throughput.mean;
}

static double gain(const struct analysing *a, uint32_t point, enum method of)
{
    return summary_ratio(a->s, a->study, point, of, a->of->reference).mean;
}

static bool rises(const struct analysing *a, enum method of, bool falling_sweep)
{
    for (uint32_t p = 1; p < a->n_points; p++) {
        double before = gain(a, p - 1, of), after = gain(a, p, of);
        if (falling_sweep ? !(before >= after) : !(after >= before))
            return false;
    }
    return true;
}

static void expect_context(const struct analysing *a)
{
    const enum method quant = METHOD_MSPECKV_KV_QUANT;
    uint32_t last = a->n_points - 1;

    if (analysis_has(a, METHOD_BASELINE)) {
        double first = tok_per_s(a, 0, METHOD_BASELINE), end = tok_per_s(a, last, METHOD_BASELINE);
        analysis_say(a->to, "Expected: the baseline falls with context; %s (%.3g to %.3g tok/s).",
                     verdict(end < first), first, end);
    }
    if (!analysis_has(a, quant))
        return;
    double first = tok_per_s(a, 0, quant), end = tok_per_s(a, last, quant);
    double grown = gain(a, last, quant) / gain(a, 0, quant);
    if (analysis_has(a, METHOD_BASELINE)) {
        double fall = tok_per_s(a, last, METHOD_BASELINE) / tok_per_s(a, 0, METHOD_BASELINE);
        analysis_say(a->to,
                     "Expected: mspeckv_kv_quant keeps its speed better than the baseline; %s "
                     "(it keeps %.0f %%, the baseline %.0f %%).",
                     verdict(end / first > fall), 100 * end / first, 100 * fall);
    }
    if (a->of->reference != quant)
        analysis_say(a->to, "Expected: so its gain grows with context; %s (%.2f to %.2f).",
                     verdict(grown > 1), gain(a, 0, quant), gain(a, last, quant));
}

/* The first point behind which no step adds more than `saturated`. */
static uint32_t knee(const struct analysing *a, enum method method)
{
    uint32_t at = a->n_points - 1;

    while (at > 0 && tok_per_s(a, at, method) < (1 + saturated) * tok_per_s(a, at - 1, method))
        at--;
    return at;
}

static void expect_residency(const struct analysing *a)
{
    const enum method quant = METHOD_MSPECKV_KV_QUANT;
    char value[64];
    uint32_t at;

    if (!analysis_has(a, quant) || a->of->reference == quant)
        return;
    heading_point(a->of, 0, value, sizeof value);
    analysis_say(a->to, "Expected: quantization alone gains at residency %s; %s (%.2f over %s).",
                 value, verdict(gain(a, 0, quant) > 1), gain(a, 0, quant),
                 method_name(a->of->reference));
    at = knee(a, quant);
    heading_point(a->of, at, value, sizeof value);
    if (at == a->n_points - 1)
        analysis_say(a->to, "Residency still pays at the last point, %s: no saturation is seen.",
                     value);
    else
        analysis_say(a->to, "Residency saturates at %s: each further step adds less than %.0f %%.",
                     value, 100 * saturated);
}

/* on_chip may be listed either way; fewer layers on the chip are more pressure. */
static void expect_pressure(const struct analysing *a)
{
    const enum method quant = METHOD_MSPECKV_KV_QUANT;
    bool ascending;

    if (!analysis_has(a, quant) || a->of->reference == quant)
        return;
    ascending = matrix_point_value(a->of, 0, 0) < matrix_point_value(a->of, a->n_points - 1, 0);
    analysis_say(a->to, "Expected: the gain grows with offload pressure; %s (%.2f to %.2f).",
                 verdict(rises(a, quant, ascending)), gain(a, 0, quant),
                 gain(a, a->n_points - 1, quant));
}

static void expect_length(const struct analysing *a)
{
    const enum method quant = METHOD_MSPECKV_KV_QUANT;
    double least = INFINITY, most = 0;

    if (!analysis_has(a, quant) || a->of->reference == quant)
        return;
    for (uint32_t p = 0; p < a->n_points; p++) {
        least = fmin(least, gain(a, p, quant));
        most = fmax(most, gain(a, p, quant));
    }
    analysis_say(a->to, "Expected: the gain persists with output length; %s (%.2f to %.2f).",
                 verdict(least > 1), least, most);
}

void analysis_expectations(const struct analysing *a)
{
    static const struct {
        const char *key;
        void (*expect)(const struct analysing *a);
    } by_sweep[] = {
        {"prefill", expect_context},
        {"resident_layers", expect_residency},
        {"on_chip", expect_pressure},
        {"gen_len", expect_length},
    };

    if (a->of->n_sweeps != 1 || a->n_points < 2)
        return;
    for (size_t i = 0; i < sizeof by_sweep / sizeof *by_sweep; i++)
        if (strcmp(a->of->sweep[0].key, by_sweep[i].key) == 0)
            by_sweep[i].expect(a);
}
