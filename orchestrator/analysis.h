/*
 * analysis.h - what a study's results say, as sentences computed from them:
 * where the time of each cell goes, which differences exceed the seeds' spread,
 * where a sweep stops paying, and whether what the study expects holds.
 *
 * A difference exceeds the seeds' spread if the 95 % interval of its mean over
 * seeds (paired by seed, Student's t) does not hold zero. One seed has no spread.
 */
#ifndef ORCHESTRATOR_ANALYSIS_H
#define ORCHESTRATOR_ANALYSIS_H

#include "orchestrator/summary.h"

struct analysis {
    uint32_t n, cap;
    char **sentence; /* [n], owned; each ends in a full stop */
};

/* Sentences of one study; none where there are no results. */
void analysis_init(struct analysis *out, const struct summary *s, uint32_t study);
void analysis_release(struct analysis *a);

/* True if zero lies outside mean +- t(0.975, n - 1) * std / sqrt(n). False for n < 2. */
bool analysis_exceeds_spread(struct spread difference);

#endif
