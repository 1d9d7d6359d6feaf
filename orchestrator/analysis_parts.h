/*
 * analysis_parts.h - the parts of an analysis. For analysis*.c only.
 */
#ifndef ORCHESTRATOR_ANALYSIS_PARTS_H
#define ORCHESTRATOR_ANALYSIS_PARTS_H

#include "orchestrator/analysis.h"

struct analysing {
    struct analysis *to;
    const struct summary *s;
    uint32_t study, n_points;
    const struct study *of;
};

void analysis_say(struct analysis *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const struct cell *analysis_cell(const struct analysing *a, uint32_t point, enum method method);
bool analysis_has(const struct analysing *a, enum method method); /* with a result everywhere */

/* Where the time of a round goes, method by method. */
void analysis_bounds(const struct analysing *a);
/* Whether the study's expected results hold, by what it sweeps. */
void analysis_expectations(const struct analysing *a);

#endif
