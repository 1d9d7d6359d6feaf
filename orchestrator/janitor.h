/*
 * janitor.h - a process that does nothing but outlive this one, so that the
 * directory of the sockets goes also when this process is killed before any
 * other process holds it.
 */
#ifndef ORCHESTRATOR_JANITOR_H
#define ORCHESTRATOR_JANITOR_H

#include <sys/types.h>

#include "common/status.h"

struct janitor {
    pid_t pid; /* 0: none */
    int fd;    /* its other end tells it of our death */
};

/* Call while no other thread of ours runs (ZeroMQ's hold no lock that the child
 * needs), and before the run directory is made. */
enum status janitor_start(struct janitor *out, struct err *err);
/* It holds this run directory from now on. */
void janitor_watch(const struct janitor *j, const char *run_dir);
/* After rundir_leave: it removes the directory and ends. */
void janitor_end(struct janitor *j);

#endif
