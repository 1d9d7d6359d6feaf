/*
 * slurm_gather.h - takes the results of a run's parts into the run's own
 * results.jsonl, so that it is as if one process had written it.
 *
 * Parts may be written at the time: of a last line that is not whole yet
 * nothing is taken.
 */
#ifndef ORCHESTRATOR_SLURM_GATHER_H
#define ORCHESTRATOR_SLURM_GATHER_H

#include "orchestrator/run_job.h"

struct slurm_gather {
    struct run_job *job; /* borrowed; with folder and results */
    bool is_shown;       /* each result as its trial's line on stdout */
    bool has_begun;      /* the first slurm_gather_take is over */
    char *now;           /* the run's manifest today; owned, as all that follow */
    struct slurm_gathered {
        bool is_checked; /* the part is of this run */
        size_t n_bytes;  /* of its results when they were read last */
        uint32_t n_read;
    } * part;      /* [n_prompts] */
    bool *settled; /* [n_trials]: done, or failed since the first slurm_gather_take */
};

/* Reads the run's own manifest into job->record where that has not been done. */
enum status slurm_gather_open(struct slurm_gather *g, struct run_job *job, struct err *err);
void slurm_gather_close(struct slurm_gather *g); /* zeroed is fine */

/* What has come since the last time; job->done and the like follow. ST_CORRUPT,
 * ST_STALE: a part is not of this run, with its file and line. */
enum status slurm_gather_take(struct slurm_gather *g, struct err *err);

/* Every trial of the part is done or has failed. */
bool slurm_gather_is_settled(const struct slurm_gather *g, uint32_t part);
/* The part's trials that are not settled have failed, with a reason. */
enum status slurm_gather_fail(struct slurm_gather *g, uint32_t part, const char *reason,
                              const char *log, struct err *err);

/* The results of an earlier job that ended unwatched, before something else is
 * done with the run on this machine. ST_STALE: a job is still in the queue, or the
 * parts ran on another kind of machine. Nothing where Slurm has never run it. */
enum status slurm_gather_before(struct run_job *job, struct err *err);

#endif
