/*
 * run_resume.h - a run that a stop, a kill or failures have left goes on: only
 * what is missing or has failed runs again, by what the directory says.
 */
#ifndef ORCHESTRATOR_RUN_RESUME_H
#define ORCHESTRATOR_RUN_RESUME_H

#include "orchestrator/run_job.h"

/* Afterwards run_job_run can run. Changes the current directory to the one the
 * run began in. Until all is found to be the run's own, nothing is written but
 * the lock; then a torn last line is cut off. *dropped_bytes: of that line.
 * ST_INVALID, ST_NOT_FOUND, ST_CORRUPT, ST_VERSION, ST_STALE: one line that
 * says what is wrong. run_job_release in any case. */
enum status run_resume(struct run_job *job, const char *dir, size_t *dropped_bytes,
                       struct err *err);

/* The results of `read` are those of the plan's trials: marks them done in
 * done[n_trials], *n_done counts. ST_CORRUPT names the line that cannot be. */
enum status run_resume_match(const struct results *read, const struct run_plan *plan, bool *done,
                             uint32_t *n_done, struct err *err);

#endif
