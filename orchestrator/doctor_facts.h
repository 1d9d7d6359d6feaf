/*
 * doctor_facts.h - all that is found out about a machine.
 */
#ifndef ORCHESTRATOR_DOCTOR_FACTS_H
#define ORCHESTRATOR_DOCTOR_FACTS_H

#include "orchestrator/doctor_backend.h"
#include "orchestrator/doctor_gpu.h"
#include "orchestrator/doctor_speed.h"
#include "orchestrator/machine.h"
#include "orchestrator/memory_room.h"

enum { DOCTOR_MAX_NODES = 64, DOCTOR_MAX_GPUS = 16, DOCTOR_MAX_DEVICES = 32 };

struct doctor_node {
    uint32_t number;
    uint64_t total_bytes, free_bytes;
};

/* What a device answered. */
struct doctor_device {
    char name[16];
    bool is_usable, is_asked; /* !is_asked: the measurement itself failed */
    struct doctor_speed speed;
    char why[256]; /* not usable, or not asked */
};

struct doctor_facts {
    struct machine machine;
    struct memory_room room;
    uint32_t n_nodes;
    struct doctor_node node[DOCTOR_MAX_NODES];
    char huge[16], huge_shared[16]; /* transparent huge pages: "madvise"; "": unknown */
    uint64_t huge_reserved;         /* pages of hugetlbfs */
    double cpu_quota;               /* CPUs that a control group allows; 0: no limit */
    uint64_t memlock_bytes;         /* UINT64_MAX: unlimited */
    bool memfd;                     /* may be made */
    char driver[32];                /* of the GPUs; "": none */
    uint32_t n_gpus;
    struct doctor_gpu gpu[DOCTOR_MAX_GPUS];
    struct doctor_backend backend;
    uint32_t n_devices;
    struct doctor_device device[DOCTOR_MAX_DEVICES];
};

/* From the files below `root` (system_file.h). The other fields are those of
 * doctor_facts_ask, here as for a machine that limits nothing. */
void doctor_facts_read(struct doctor_facts *out, const char *root);
/* The same of this machine, with what only system calls tell: /dev/shm, locked
 * memory, memfd, whether the CUDA backend loads. */
void doctor_facts_ask(struct doctor_facts *out);
/* Adds a device that is not there yet, measured. */
void doctor_facts_measure(struct doctor_facts *facts, const char *device, uint32_t n_threads);

#endif
