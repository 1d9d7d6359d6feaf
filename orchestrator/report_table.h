/*
 * report_table.h - the tables of a report's page.
 */
#ifndef ORCHESTRATOR_REPORT_TABLE_H
#define ORCHESTRATOR_REPORT_TABLE_H

#include <stdio.h>

#include "orchestrator/report_run.h"

/* The cells of one study: one row per point and method. */
void report_table_cells(FILE *to, const struct summary *s, uint32_t study);
/* Every trial of one study, one row each, failed ones with their reason. */
void report_table_trials(FILE *to, const struct report_run *run, uint32_t study);
/* The cells of a study of the first run beside the same cells (study, point and
 * method by name) of the others, with ratios of throughput to the first. */
void report_table_compare(FILE *to, const struct report_run *run, uint32_t n_runs, uint32_t study);

#endif
