/*
 * doctor_gpu.h - the GPUs of a machine and their links, as the kernel lists
 * them: no driver's library is needed.
 */
#ifndef ORCHESTRATOR_DOCTOR_GPU_H
#define ORCHESTRATOR_DOCTOR_GPU_H

#include <stddef.h>
#include <stdint.h>

struct doctor_gpu {
    char address[16];              /* on the PCI bus: "0000:01:00.0" */
    char model[48];                /* "" where no driver says it */
    double speed_gt, max_speed_gt; /* 1e9 transfers a second per lane, now (less when idle) and
                                      at most; 0: unknown */
    uint32_t width, max_width;     /* lanes, now and at most; 0: unknown */
    int node;                      /* NUMA node that it is attached to; -1: unknown */
};

/* NVIDIA display devices below `root` (system_file.h), in order of address;
 * returns how many were written, at most `max`. */
uint32_t doctor_gpu_read(struct doctor_gpu *out, uint32_t max, const char *root);

/* The loaded driver's version, "" for none. */
void doctor_gpu_driver(char *buf, size_t size, const char *root);

/* 1e9 bytes a second in one direction at full speed over `width` lanes, after
 * the line code: 8b/10b up to 5 GT/s, 128b/130b above. PCI Express base
 * specification, physical layer. */
double doctor_gpu_link_gbps(const struct doctor_gpu *gpu, uint32_t width);

#endif
