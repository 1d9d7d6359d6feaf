/*
 * slurm_part.h - one task of a run that Slurm runs: the trials of one prompt,
 * in a directory of their own below the run's.
 *
 * Its command holds all it needs and may be given again at any time: what is
 * there already does not run again.
 */
#ifndef ORCHESTRATOR_SLURM_PART_H
#define ORCHESTRATOR_SLURM_PART_H

#include "orchestrator/run_job.h"

struct slurm_part {
    const char *run; /* the run directory */
    uint32_t number; /* of the part */
    struct run_job *job;
    /* What the job borrows until run_job_release; owned. */
    struct run_record record; /* of the run */
    const char **set;
    char *link; /* its last word */
};

/* Afterwards run_job_run can run the part. Changes the current directory.
 * Errors as those of run_begin and run_resume; ST_STALE also where the run's
 * checkpoints or settings are no more what its manifest says. run_job_release
 * and then slurm_part_release in any case. */
enum status slurm_part_open(struct slurm_part *part, struct err *err);
void slurm_part_release(struct slurm_part *part);

#endif
