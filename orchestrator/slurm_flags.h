/*
 * slurm_flags.h - the options of `mspeckv run` that say who runs the trials.
 */
#ifndef ORCHESTRATOR_SLURM_FLAGS_H
#define ORCHESTRATOR_SLURM_FLAGS_H

#include "common/args.h"
#include "orchestrator/slurm_options.h"

enum { SLURM_FLAGS = 4 };

/* Begins zeroed: this machine. Texts borrow argv. */
struct slurm_flags {
    int launcher; /* index into "local|slurm" */
    const char *partition, *time_limit, *sbatch;
};

/* Fills spec[SLURM_FLAGS]; `flags` is borrowed by it. */
void slurm_flags_list(struct slurm_flags *flags, struct arg_spec *spec);
/* Puts them over `options`. ST_INVALID names the option that is wrong. */
enum status slurm_flags_put(const struct slurm_flags *flags, struct slurm_options *options,
                            struct err *err);
/* ST_INVALID also for an option of Slurm without Slurm. */
enum status slurm_flags_check(const struct slurm_flags *flags, struct err *err);

#endif
