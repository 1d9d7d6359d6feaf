/*
 * run_folder.h - the directory that holds one run's files. (The private
 * directory of its sockets is common/rundir.h.)
 */
#ifndef ORCHESTRATOR_RUN_FOLDER_H
#define ORCHESTRATOR_RUN_FOLDER_H

#include "common/status.h"

/* Makes base/NAME-YYYYMMDDTHHMMSSZ-PID (base NULL: "runs", made if absent) and
 * in it logs/. Never an existing one. *path is owned by the caller: free(). */
enum status run_folder_make(char **path, const char *base, const char *name, struct err *err);

/* Takes `dir` itself: made, or used if it is an empty directory; ST_INVALID if
 * it holds anything or is no directory. */
enum status run_folder_take(char **path, const char *dir, struct err *err);

#endif
