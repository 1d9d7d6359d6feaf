/*
 * slurm_run.h - a run's trials as a job array of Slurm: submitted, watched,
 * gathered. One task for each prompt: slurm_part.h.
 *
 * Who watches may be killed at any time: the job goes on, and `mspeckv run
 * --resume DIR --launcher slurm` watches it again.
 */
#ifndef ORCHESTRATOR_SLURM_RUN_H
#define ORCHESTRATOR_SLURM_RUN_H

#include "orchestrator/run_job.h"
#include "orchestrator/slurm_options.h"

/* Has run_job_run submit what is missing. `options` is borrowed until then. */
void slurm_run_use(struct run_job *job, const struct slurm_options *options);
/* Has run_job_run only take what there is; what is missing stays so. */
void slurm_run_use_gathered(struct run_job *job);

#endif
