/*
 * place.h - where one group of processes runs: devices, CPUs, NUMA node.
 */
#ifndef ORCHESTRATOR_PLACE_H
#define ORCHESTRATOR_PLACE_H

#include "common/cpu_list.h"
#include "common/status.h"

enum { PLACE_DEVICE = 16 };

struct place {
    char verify[PLACE_DEVICE], draft[PLACE_DEVICE]; /* "cpu:0", "cuda:1" */
    struct cpu_list cpus;                           /* of all its processes; empty: any */
    int numa_node;                                  /* of its store's arena; -1: not bound */
    char *cpus_at; /* owned; where `cpus` was said, for a later refusal; NULL: not said */
};

void place_release(struct place *p);

/* The first device that both use, for words; NULL: they are disjoint. All
 * devices cpu:N are the machine's CPUs, so two of them are disjoint only where
 * both places have CPU sets and these do not overlap. */
const char *place_shared_device(const struct place *a, const struct place *b);

/* ST_INVALID: a CPU of the place that this process may not use. */
enum status place_check(const struct place *p, struct err *err);

#endif
