/*
 * pool.h - compute threads that park between jobs.
 *
 * One job at a time, from one caller; the caller works too. Tasks are claimed
 * by index, so results must not depend on which thread runs which task.
 */
#ifndef COMMON_POOL_H
#define COMMON_POOL_H

#include "common/status.h"

struct pool; /* owns its threads */

/* n_threads >= 1 counts the caller. `cpus` (may be NULL) lists CPUs to pin the
 * threads to, [n_threads]; the caller itself is not pinned. */
enum status pool_open(struct pool **out, int n_threads, const int *cpus, struct err *err);
void pool_close(struct pool *pool); /* NULL is fine */
int pool_n_threads(const struct pool *pool);

/* Runs fn(arg, task, thread) for task = 0 .. n_tasks-1, thread < n_threads;
 * returns when all are done. Parked threads spin for a few microseconds after
 * a job before they sleep. */
void pool_run(struct pool *pool, int n_tasks, void (*fn)(void *arg, int task, int thread),
              void *arg);

#endif
