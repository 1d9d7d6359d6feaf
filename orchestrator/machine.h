/*
 * machine.h - the machine a run was on, as the kernel describes it.
 */
#ifndef ORCHESTRATOR_MACHINE_H
#define ORCHESTRATOR_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct machine {
    char cpu_model[96];  /* "unknown" where the kernel does not say */
    char cpu_flags[256]; /* of the flags our kernels ask for: those present, space between */
    uint32_t n_cpus;     /* usable by this process */
    uint32_t n_nodes;    /* NUMA nodes; 0: unknown */
    uint64_t memory_bytes;
    char kernel[128]; /* "Linux 6.1.0 x86_64" */
};

/* CPU and nodes from the files below `root` (system_file.h), "" for this
 * machine; the rest from system calls. */
void machine_read(struct machine *out, const char *root);
bool machine_has_flag(const struct machine *m, const char *flag);

#endif
