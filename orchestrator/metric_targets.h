/*
 * metric_targets.h - metrics.json of a run: where its processes serve their
 * metrics, as Prometheus reads a list of targets (file_sd_configs).
 */
#ifndef ORCHESTRATOR_METRIC_TARGETS_H
#define ORCHESTRATOR_METRIC_TARGETS_H

#include "metrics/metric_address.h"
#include "orchestrator/study_run.h"

/* Of this process and of all places' that have started; the workers' addresses
 * are those that they logged. */
enum status metric_targets_write(const struct study_run *run, const char *folder, struct err *err);

/* ST_INVALID: behind the run's own port there are not enough for its workers. */
enum status metric_targets_no_port(const struct metric_address *own, struct err *err);

#endif
