/*
 * report_page.h - report.html: one page with everything in it, readable without
 * a network, on a phone, in the dark and on paper.
 */
#ifndef ORCHESTRATOR_REPORT_PAGE_H
#define ORCHESTRATOR_REPORT_PAGE_H

#include <stdio.h>

#include "orchestrator/report_run.h"

/* `dir` holds plots/ of the run. */
void report_page_write(FILE *to, const struct report_run *run, const char *dir);
/* Several runs side by side; figures stay in their own reports. n_runs > 1. */
void report_page_compare(FILE *to, const struct report_run *run, uint32_t n_runs);

#endif
