/*
 * report_run.h - a finished or interrupted run as a report needs it.
 */
#ifndef ORCHESTRATOR_REPORT_RUN_H
#define ORCHESTRATOR_REPORT_RUN_H

#include "orchestrator/report_charts.h"
#include "orchestrator/results.h"
#include "orchestrator/summary.h"

struct report_run {
    const char *name;        /* of the directory, as given */
    const struct summary *s; /* made of `results` and nothing else */
    const struct results *results;
    const char *about;            /* lines on machine, versions and inputs, for reading */
    struct report_charts *charts; /* [s->e->n_studies] */
};

#endif
