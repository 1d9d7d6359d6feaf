/*
 * slurm_queue.h - a job array in Slurm's queue: submitted, asked about,
 * cancelled. Through sbatch, squeue, sacct and scancel, found on PATH.
 */
#ifndef ORCHESTRATOR_SLURM_QUEUE_H
#define ORCHESTRATOR_SLURM_QUEUE_H

#include "orchestrator/slurm_options.h"

enum { SLURM_JOB_TEXT = 32, SLURM_STATE_TEXT = 32 };

/* Slurm is there and answers; ST_NOT_FOUND, or its own words. */
enum status slurm_queue_check(struct err *err);

struct slurm_array {
    const struct slurm_options *options;
    const char *name;   /* of the job */
    const char *folder; /* the tasks' current one; JOB_TASK.log is written there */
    const char *script;
    const uint32_t *task; /* [n_tasks], ascending */
    uint32_t n_tasks;
};

/* *job: its number. ST_IO: sbatch's own words. */
enum status slurm_queue_submit(char job[SLURM_JOB_TEXT], const struct slurm_array *array,
                               struct err *err);

struct slurm_task {
    bool is_alive; /* waits, runs, or is about to end */
    bool is_running;
    char state[SLURM_STATE_TEXT]; /* "PENDING", "RUNNING", "TIMEOUT", ...; "": not known */
};

/* Where the tasks of `job` stand: task[n_tasks] by array index. Slurm forgets
 * tasks soon after their end: those are not alive, and sacct is asked for their
 * state. ST_IO, ST_TIMEOUT: Slurm gives no answer now and may do so later. */
enum status slurm_queue_ask(const char *job, struct slurm_task *task, uint32_t n_tasks,
                            struct err *err);
/* The states of tasks that have ended as accounting knows them; nothing where
 * there is none. */
void slurm_queue_ask_ended(const char *job, struct slurm_task *task, uint32_t n_tasks);
/* Its state says how it ended; false where it only left the queue. */
bool slurm_queue_has_ended(const struct slurm_task *task);
enum status slurm_queue_cancel(const char *job, struct err *err);

/* "0-3,7" of ascending numbers; owned by the caller: free(). */
char *slurm_queue_ranges(const uint32_t *task, uint32_t n_tasks);
/* A job number as sbatch --parsable prints it, "12" or "12;cluster". */
bool slurm_queue_parse_job(char job[SLURM_JOB_TEXT], const char *printed);

#endif
