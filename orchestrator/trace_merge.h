/*
 * trace_merge.h - the traces of all processes of a run as one timeline.
 */
#ifndef ORCHESTRATOR_TRACE_MERGE_H
#define ORCHESTRATOR_TRACE_MERGE_H

#include "common/status.h"

/* Replaces `path` by the timeline of every trace in `log_dir`; those files stay,
 * and may still be written. *said (NULL: not wanted) is what to tell of it: events,
 * processes, what is missing; owned by the caller. ST_NOT_FOUND: there is no trace. */
enum status trace_merge(const char *path, const char *log_dir, char **said, struct err *err);

#endif
