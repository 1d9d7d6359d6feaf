/*
 * slurm_folder.h - what a run that Slurm runs has in its directory beside the
 * files of every run: parts/N, the directory of the trials of prompt N, and
 * slurm/, the script, the jobs and their logs.
 */
#ifndef ORCHESTRATOR_SLURM_FOLDER_H
#define ORCHESTRATOR_SLURM_FOLDER_H

#include <stdint.h>

#include "orchestrator/slurm_queue.h"

/* `run` is the run directory, absolute. Those of both folders, made if absent. */
enum status slurm_folder_make(const char *run, struct err *err);
bool slurm_folder_exists(const char *run);
/* Owned by the caller: free(). */
char *slurm_folder_part(const char *run, uint32_t part);
char *slurm_folder_jobs(const char *run); /* slurm/ itself */
char *slurm_folder_log(const char *run, const char *job, uint32_t part);

/* Writes the script whose task N is `program part RUN --task N`; *path is the
 * caller's: free(). */
enum status slurm_folder_script(char **path, const char *run, const char *program, struct err *err);

/* The job that was submitted last, and which attempt it is (from 1). */
enum status slurm_folder_put_job(const char *run, const char *job, uint32_t attempt,
                                 struct err *err);
/* ST_NOT_FOUND: none was. ST_CORRUPT: the file is not one of ours. */
enum status slurm_folder_last_job(const char *run, char job[SLURM_JOB_TEXT], uint32_t *attempt,
                                  struct err *err);

#endif
