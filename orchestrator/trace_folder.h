/*
 * trace_folder.h - the trace files in a run's folder of logs: NAME-N.trace, one
 * for every start of a process, beside its log.
 */
#ifndef ORCHESTRATOR_TRACE_FOLDER_H
#define ORCHESTRATOR_TRACE_FOLDER_H

#include "common/trace_file.h"

/* The path of the next trace of process `name` in `dir`: its number is the first
 * that no file has. Owned by the caller: free(). */
char *trace_folder_next(const char *dir, const char *name);

struct trace_source {
    struct trace_file file;
    uint32_t place; /* from 1; 0: the process is of no place, or the only one */
    uint32_t *flow; /* [file.n_events] for trace_flow_find; owned */
};

/* Sources in the order of a timeline: by place, then orchestrator, store, verify,
 * draft; of one process the earliest start first. */
struct trace_set {
    struct trace_source *source; /* [n_sources], owned */
    size_t n_sources;
    char **left_out; /* [n_left_out] "FILE: why"; owned */
    size_t n_left_out;
    uint64_t n_dropped; /* events that found a file full */
    uint64_t first_ns;  /* the earliest begin of all; 0: there is no event */
};

/* Every trace of `dir` and of its folders place-N. A file that is no trace, or was
 * written under another boot of the machine, whose clock is another one, is left
 * out. ST_NOT_FOUND: nothing is left. trace_set_release in any case. */
enum status trace_folder_read(struct trace_set *out, const char *dir, struct err *err);
void trace_set_release(struct trace_set *set); /* zeroed is fine */

#endif
