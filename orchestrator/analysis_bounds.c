#include <math.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/analysis_parts.h"
#include "orchestrator/heading.h"

enum bound { BOUND_LINK, BOUND_TARGET, BOUND_DRAFTING, BOUND_MESSAGES, BOUND_OTHER, BOUND_COUNT };

static const char *const bound_words[BOUND_COUNT] = {
    [BOUND_LINK] = "waiting for the link", [BOUND_TARGET] = "the target's own pass",
    [BOUND_DRAFTING] = "drafting",         [BOUND_MESSAGES] = "messages",
    [BOUND_OTHER] = "judging and sealing",
};

/* The largest part of a round and its share; BOUND_COUNT without a round. */
static enum bound bound_of(const struct cell *c, double *share)
{
    const double part[BOUND_COUNT] = {
        [BOUND_LINK] = c->round.link_wait,
        [BOUND_TARGET] = c->round.verify,
        [BOUND_DRAFTING] = c->round.draft + c->round.middle,
        [BOUND_MESSAGES] = c->round.messages,
        [BOUND_OTHER] = c->round.other,
    };
    double sum = 0;
    enum bound most = BOUND_LINK;

    for (int i = 0; i < BOUND_COUNT; i++) {
        sum += part[i];
        if (part[i] > part[most])
            most = (enum bound)i;
    }
    if (!isfinite(sum) || sum <= 0)
        return BOUND_COUNT;
    *share = part[most] / sum;
    return most;
}

/* True if both shares print as the same whole percentage. */
static bool same_percentage(double a, double b)
{
    return lround(100 * a) == lround(100 * b);
}

/* " at prefill 2048 to 4096"; "" without a sweep. */
static void where_text(const struct analysing *a, uint32_t first, uint32_t last, char *buf,
                       size_t size)
{
    char sweep[64], from[64], to[64];

    buf[0] = '\0';
    heading_sweep(a->of, sweep, sizeof sweep);
    heading_point(a->of, first, from, sizeof from);
    heading_point(a->of, last, to, sizeof to);
    if (a->of->n_sweeps > 0 && first == last)
        snprintf(buf, size, " at %s %s", sweep, from);
    else if (a->of->n_sweeps > 0)
        snprintf(buf, size, " at %s %s to %s", sweep, from, to);
}

/* Points in a row with the same bound are said together. */
static void say_run(const struct analysing *a, enum method method, uint32_t first, uint32_t last)
{
    double least = 1, most = 0, share = 0;
    char where[256];
    enum bound bound = BOUND_COUNT;

    for (uint32_t p = first; p <= last; p++) {
        bound = bound_of(analysis_cell(a, p, method), &share);
        least = fmin(least, share);
        most = fmax(most, share);
    }
    where_text(a, first, last, where, sizeof where);
    if (same_percentage(least, most))
        analysis_say(a->to, "%s spends the largest part of a round in %s%s: %.0f %%.",
                     method_name(method), bound_words[bound], where, 100 * most);
    else
        analysis_say(a->to, "%s spends the largest part of a round in %s%s: %.0f to %.0f %%.",
                     method_name(method), bound_words[bound], where, 100 * least, 100 * most);
}

static void say_method(const struct analysing *a, enum method method)
{
    double share;

    for (uint32_t first = 0, next; first < a->n_points; first = next) {
        enum bound bound = bound_of(analysis_cell(a, first, method), &share);
        for (next = first + 1; next < a->n_points; next++)
            if (bound_of(analysis_cell(a, next, method), &share) != bound)
                break;
        if (bound != BOUND_COUNT)
            say_run(a, method, first, next - 1);
    }
}

/* How much of the link's rate a method that waits for it has used. */
static void say_link(const struct analysing *a, enum method method)
{
    double rate = a->s->link_gbps > 0 ? a->s->link_gbps : a->s->device_link_gbps;
    double least = INFINITY, most = 0, share;

    for (uint32_t p = 0; p < a->n_points; p++) {
        const struct cell *c = analysis_cell(a, p, method);
        if (bound_of(c, &share) != BOUND_LINK)
            continue;
        double used = c->link_bytes_per_token * c->throughput.mean / (rate * 1e9);
        least = fmin(least, used);
        most = fmax(most, used);
    }
    if (most > 0 && same_percentage(least, most))
        analysis_say(a->to, "Where %s waits for the link it uses %.0f %% of its %.3g GB/s.",
                     method_name(method), 100 * most, rate);
    else if (most > 0)
        analysis_say(a->to, "Where %s waits for the link it uses %.0f to %.0f %% of its %.3g GB/s.",
                     method_name(method), 100 * least, 100 * most, rate);
}

static bool same_ceiling(const struct cell *a, const struct cell *b)
{
    return a->has_roofline && b->has_roofline &&
           roofline_bound_of(&a->roofline) == roofline_bound_of(&b->roofline);
}

static void say_ceiling_run(const struct analysing *a, enum method method, uint32_t first,
                            uint32_t last)
{
    const char *bound =
        roofline_bound_name(roofline_bound_of(&analysis_cell(a, first, method)->roofline));
    double least = INFINITY, most = 0;
    char where[256];

    for (uint32_t p = first; p <= last; p++) {
        const struct cell *c = analysis_cell(a, p, method);
        double reached = roofline_time(&c->roofline) / round_ms_total(&c->round);
        least = fmin(least, reached);
        most = fmax(most, reached);
    }
    where_text(a, first, last, where, sizeof where);
    if (same_percentage(least, most))
        analysis_say(a->to, "By the measured ceilings %s is bound by %s%s; it reaches %.0f %%.",
                     method_name(method), bound, where, 100 * most);
    else
        analysis_say(a->to,
                     "By the measured ceilings %s is bound by %s%s; it reaches %.0f to %.0f %%.",
                     method_name(method), bound, where, 100 * least, 100 * most);
}

/* The ceiling that a round's largest phase meets first, and the share of the
 * least possible round in the measured one. */
static void say_ceilings(const struct analysing *a, enum method method)
{
    for (uint32_t first = 0, next; first < a->n_points; first = next) {
        const struct cell *c = analysis_cell(a, first, method);
        for (next = first + 1; next < a->n_points; next++)
            if (!same_ceiling(c, analysis_cell(a, next, method)))
                break;
        if (c->has_roofline)
            say_ceiling_run(a, method, first, next - 1);
    }
}

void analysis_bounds(const struct analysing *a)
{
    for (uint32_t m = 0; m < a->of->n_methods; m++) {
        say_method(a, a->of->method[m]);
        if (a->s->link_gbps > 0 || a->s->device_link_gbps > 0)
            say_link(a, a->of->method[m]);
        say_ceilings(a, a->of->method[m]);
    }
}
