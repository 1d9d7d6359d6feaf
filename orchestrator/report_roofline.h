/*
 * report_roofline.h - the table of a report that holds each cell's round against
 * what the ceilings of its device allow (roofline.h).
 */
#ifndef ORCHESTRATOR_REPORT_ROOFLINE_H
#define ORCHESTRATOR_REPORT_ROOFLINE_H

#include <stdio.h>

#include "orchestrator/report_run.h"

/* One row per point and method, and the ceilings in words; of a run that has
 * recorded none one sentence that says so. */
void report_roofline(FILE *to, const struct report_run *run, uint32_t study);

#endif
