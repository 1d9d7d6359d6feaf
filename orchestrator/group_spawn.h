/*
 * group_spawn.h - the command line of each process of the group. Private to
 * group.c and group_spawn.c.
 */
#ifndef ORCHESTRATOR_GROUP_SPAWN_H
#define ORCHESTRATOR_GROUP_SPAWN_H

#include "common/proc.h"
#include "common/rundir.h"
#include "orchestrator/group.h"

extern const char *const group_names[GROUP_MEMBERS]; /* "kvstore", "verify", "draft" */

int group_member_of(const char *name); /* -1: none of them */

/* Starts the program that lies beside this one. `run_dir` holds the sockets. */
enum status group_spawn(struct proc *out, enum group_member member, const struct group_options *opt,
                        const char *run_dir, const char *log_dir, struct err *err);

/* Removes the sockets that killed workers could not, and a killed store's. */
void group_spawn_clean(const struct rundir *dir, bool store_too);

#endif
