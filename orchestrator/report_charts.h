/*
 * report_charts.h - the figures of one study, filled from results alone.
 *
 * Groups stand at the sweep's points, one box per method in the order of the
 * table; every trial is a point of its own over its box.
 */
#ifndef ORCHESTRATOR_REPORT_CHARTS_H
#define ORCHESTRATOR_REPORT_CHARTS_H

#include "orchestrator/chart.h"
#include "orchestrator/results.h"
#include "orchestrator/summary.h"

enum report_chart {
    REPORT_THROUGHPUT, /* with lines of speedup on the right axis */
    REPORT_LATENCY,
    REPORT_ACCEPTED,
    REPORT_LINK,     /* bytes over the link per token */
    REPORT_KV,       /* device bytes by use */
    REPORT_ROUND,    /* milliseconds of a round by phase */
    REPORT_POSITION, /* share of proposals accepted, by position in the proposal */
    REPORT_CHARTS
};

struct report_charts {
    struct chart chart[REPORT_CHARTS];
};

/* `results` are those that `s` was made of. Every figure says documents, seeds,
 * a simulated link and random weights. */
void report_charts_init(struct report_charts *out, const struct summary *s,
                        const struct results *results, uint32_t study);
void report_charts_release(struct report_charts *charts);

#endif
