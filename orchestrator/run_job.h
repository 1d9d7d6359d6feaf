/*
 * run_job.h - one run from its plan to its tables, whether it begins
 * (run_begin.h) or goes on (run_resume.h).
 */
#ifndef ORCHESTRATOR_RUN_JOB_H
#define ORCHESTRATOR_RUN_JOB_H

#include "orchestrator/machine.h"
#include "orchestrator/manifest.h"
#include "orchestrator/run_lock.h"
#include "orchestrator/run_plan.h"
#include "orchestrator/run_record.h"
#include "orchestrator/study_run.h"

/* Begins zeroed; owns what it points to unless it says otherwise. */
struct run_job {
    int argc;
    char *const *argv; /* borrowed: the command, for the manifest */
    struct run_plan plan;
    char *text, *directory; /* the experiment file's bytes; where it was read */
    const char *const *set; /* [n_sets], borrowed */
    size_t n_sets;
    char *target_fingerprint, *draft_fingerprint;
    struct machine machine;
    char *folder, *log_dir;
    struct run_lock lock;
    struct run_record record; /* of the run that goes on; zero for a new one */
    struct results_file *results;
    bool *done; /* [n_trials]; NULL: none */
    uint32_t n_done;
    struct run_watch watch; /* mode, streams and events are the command's */
    struct study_run run;
    struct msg_ready verify; /* as it was at the start; its rates are frozen */
    struct msg_welcome store;
    bool any_machine;      /* the trials run on others: this one's kind and memory do not count */
    bool trace;            /* every process writes one; trace.json joins them */
    bool metrics_any_port; /* of the workers, where metric_server.h serves this process's */
    bool is_part;          /* of a run whose directory holds this one: no summary, no report */
    /* NULL: the processes of this machine; otherwise who has the trials run, appends
     * their results and keeps the manifest. `elsewhere` is its own, borrowed. */
    enum status (*trials)(struct run_job *job, struct err *err);
    const void *elsewhere;
};

/* Needs text, directory and plan.e: the plan, whether there is memory for it,
 * fingerprints, machine. Nothing is written. */
enum status run_job_prepare(struct run_job *job, struct err *err);
/* manifest.json as it is now; borrows from the job. */
struct manifest run_job_manifest(const struct run_job *job);
/* The log of the run directory, and its trace if the job wants one. */
enum status run_job_open_log(struct run_job *job, struct err *err);

/* Runs what is not done, writes and prints the summary. Needs folder, log,
 * results. ST_CLOSED: the user stopped it. */
enum status run_job_run(struct run_job *job, struct err *err);
void run_job_release(struct run_job *job);

#endif
