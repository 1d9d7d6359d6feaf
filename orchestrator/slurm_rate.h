/*
 * slurm_rate.h - the memory bandwidth that all parts of a run count as theirs.
 *
 * A simulated link of `simulate_ratio` is paced at a share of it. Cells of one
 * table must have one link, so the part that measures first says it for all.
 */
#ifndef ORCHESTRATOR_SLURM_RATE_H
#define ORCHESTRATOR_SLURM_RATE_H

#include "orchestrator/experiment.h"

/* Measures where none of the run's parts has yet. `run` is the run directory;
 * slurm_folder_make has been there. ST_CORRUPT: the file is not one of ours. */
enum status slurm_rate_agree(double *memory_gbps, const char *run, const struct experiment *e,
                             struct err *err);

#endif
