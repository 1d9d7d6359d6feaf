/*
 * run_lock.h - one process at a time works in a run directory.
 *
 * A record lock on DIR/lock: it goes with its process however that ends, and a
 * fork does not inherit it.
 */
#ifndef ORCHESTRATOR_RUN_LOCK_H
#define ORCHESTRATOR_RUN_LOCK_H

#include "common/status.h"

struct run_lock {
    int fd; /* 0: not held */
};

/* ST_STALE: another process holds it; the words name it. */
enum status run_lock_take(struct run_lock *out, const char *dir, struct err *err);
void run_lock_give(struct run_lock *lock); /* zeroed is fine */

#endif
