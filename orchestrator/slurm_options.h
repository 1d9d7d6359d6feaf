/*
 * slurm_options.h - what is asked of Slurm for a run: `slurm:` of an experiment
 * file, and the options of `mspeckv run` over it.
 */
#ifndef ORCHESTRATOR_SLURM_OPTIONS_H
#define ORCHESTRATOR_SLURM_OPTIONS_H

#include <stdint.h>

#include "common/status.h"
#include "orchestrator/yaml_tree.h"

enum { SLURM_MAX_ARGS = 16, SLURM_MAX_TASKS = 10000 };

/* Texts are owned; NULL and 0: not said, Slurm's own default. */
struct slurm_options {
    char *partition;
    char *time_limit; /* of a task, as sbatch writes it: "90", "2:00:00", "1-0" */
    uint32_t at_once; /* tasks that run at the same time, at most */
    uint32_t n_args;
    char *arg[SLURM_MAX_ARGS]; /* more words for sbatch, "--gres=gpu:1" */
};

/* Reads the map `slurm:`. ST_INVALID with its place and what would be right. */
enum status slurm_options_read(struct slurm_options *out, const struct yaml_node *map,
                               struct err *err);
/* The same for words of a command line; each replaces what was there, but for
 * an argument, which comes behind the others. */
enum status slurm_options_partition(struct slurm_options *o, const char *name, struct err *err);
enum status slurm_options_time(struct slurm_options *o, const char *limit, struct err *err);
/* A word that sbatch takes as an option; those that we set ourselves are refused. */
enum status slurm_options_add(struct slurm_options *o, const char *arg, struct err *err);
void slurm_options_release(struct slurm_options *o); /* zeroed is fine */

#endif
