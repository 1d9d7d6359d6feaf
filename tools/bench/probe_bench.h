/*
 * probe_bench.h - what this machine allows a device to do, tried one by one.
 */
#ifndef TOOLS_BENCH_PROBE_BENCH_H
#define TOOLS_BENCH_PROBE_BENCH_H

#include "common/status.h"

/* Prints one JSON object per line: {"probe", "ok", "words"}: open, share (another process opens
 * a block of device memory and reads it), register_memfd, register_shm, pidfd. Fails only if the
 * device cannot be opened: what a machine refuses is a finding. */
enum status probe_bench_run(const char *device, struct err *err);
/* The other process of `share`: opens the block named by `hex` and prints its first byte. */
enum status probe_bench_import(const char *device, const char *hex, struct err *err);

#endif
