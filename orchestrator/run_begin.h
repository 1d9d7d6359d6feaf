/*
 * run_begin.h - a new run: its experiment, its directory, its first manifest.
 */
#ifndef ORCHESTRATOR_RUN_BEGIN_H
#define ORCHESTRATOR_RUN_BEGIN_H

#include "orchestrator/run_job.h"

struct run_begin {
    const char *file;       /* the experiment */
    const char *const *set; /* [n_sets] "key=value"; borrowed until run_job_release */
    size_t n_sets;
    const char *out;  /* directory, new or empty; NULL: one with a name of its own */
    const char *text; /* the file's bytes as they were; NULL: it is read */
};

/* Afterwards run_job_run can run, and `mspeckv run --resume` can go on with what
 * a kill leaves: the manifest is the first file of the directory. ST_INVALID:
 * the words or the file are at fault. run_job_release in any case. */
enum status run_begin(struct run_job *job, const struct run_begin *from, struct err *err);

#endif
