/*
 * rundir.h - the private directory that holds the sockets of one run.
 *
 * A 0700 directory with a short path (a socket path has 107 bytes) under
 * XDG_RUNTIME_DIR or /tmp. Every process of the run holds a shared flock on
 * its "lock" file; the last one out removes the directory, and directories
 * nobody holds are swept at the next start. The only file of the project that
 * reads the environment.
 */
#ifndef COMMON_RUNDIR_H
#define COMMON_RUNDIR_H

#include "common/status.h"

struct rundir; /* owns its lock */

/* Sweeps stale ones, makes a new one. */
enum status rundir_create(struct rundir **out, struct err *err);
/* Joins one made by the orchestrator; `path` from a flag. */
enum status rundir_join(struct rundir **out, const char *path, struct err *err);
const char *rundir_path(const struct rundir *dir);
/* "path/name" into buf (at least 108 bytes). CHECKs that it fits. */
void rundir_socket(const struct rundir *dir, const char *name, char buf[108]);
/* Gives up the lock; removes the directory if nobody else holds it. */
void rundir_leave(struct rundir *dir);

/* Cluster job id of the environment (SLURM_JOB_ID), or NULL. */
const char *rundir_job_id(void);

#endif
