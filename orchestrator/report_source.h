/*
 * report_source.h - a run directory read for a report: results.jsonl gives the
 * numbers, manifest.json what they were measured with.
 */
#ifndef ORCHESTRATOR_REPORT_SOURCE_H
#define ORCHESTRATOR_REPORT_SOURCE_H

#include "orchestrator/report_run.h"
#include "orchestrator/run_record.h"

struct report_source {
    struct run_record record; /* owned, as all that follow */
    struct experiment *e;
    struct results results; /* the last one of each trial */
    struct summary *summary;
    struct report_charts *charts; /* [e->n_studies] */
    char *about;
    struct report_run run; /* borrows from the above */
};

/* Of any version and commit of the program, as long as it reads the files.
 * `dir` is borrowed. ST_NOT_FOUND: no run directory. ST_CORRUPT: file, line and
 * field. ST_INVALID: no trial has ended yet. report_source_release in any case. */
enum status report_source_open(struct report_source *out, const char *dir, struct err *err);
void report_source_release(struct report_source *source);

/* Draws the figures and writes DIR/report.html, whole or not at all. */
enum status report_source_write(const struct report_source *source, struct err *err);
/* The same for a run directory whose files are there. */
enum status report_write(const char *dir, struct err *err);

#endif
