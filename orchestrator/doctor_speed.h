/*
 * doctor_speed.h - a device's own words and how fast it reads its memory.
 *
 * Asked of `mspeckv-bench memory` beside this program, which has the devices:
 * what it cannot open, no worker can.
 */
#ifndef ORCHESTRATOR_DOCTOR_SPEED_H
#define ORCHESTRATOR_DOCTOR_SPEED_H

#include <stdint.h>

#include "common/status.h"

struct doctor_speed {
    char device[96]; /* "cpu:0 (2 threads, avx2)" */
    double read_gbps;
};

/* n_threads 0: all. ST_DEVICE: the device cannot be used, in its words.
 * ST_IO, ST_TIMEOUT: it could not be asked. */
enum status doctor_speed_measure(struct doctor_speed *out, const char *device, uint32_t n_threads,
                                 struct err *err);

/* "DEVICE: X GB/s read" at the beginning of what the bench has printed. */
bool doctor_speed_parse(struct doctor_speed *out, const char *printed);

#endif
