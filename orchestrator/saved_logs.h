/*
 * saved_logs.h - keeps the logs of a run that failed: they lie beside the
 * sockets, and that directory goes with its last process.
 */
#ifndef ORCHESTRATOR_SAVED_LOGS_H
#define ORCHESTRATOR_SAVED_LOGS_H

#include "common/status.h"

/* Copies DIR/<process>.log into a new directory under /tmp and puts its name in
 * the words for DIR. Does nothing where a copy fails. */
void saved_logs_keep(const char *dir, struct err *err);

#endif
