/*
 * machine.h - the machine a run was on, as the kernel describes it.
 */
#ifndef ORCHESTRATOR_MACHINE_H
#define ORCHESTRATOR_MACHINE_H

#include <stdint.h>

struct machine {
    char cpu_model[96];  /* "unknown" where the kernel does not say */
    char cpu_flags[256]; /* of the flags our kernels ask for: those present, space between */
    uint32_t n_cpus;     /* usable by this process */
    uint32_t n_nodes;    /* NUMA nodes; 0: unknown */
    uint64_t memory_bytes;
    char kernel[128]; /* "Linux 6.1.0 x86_64" */
};

void machine_read(struct machine *out);

#endif
