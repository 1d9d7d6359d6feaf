/*
 * memory_bench.h - how fast a device reads its memory: what a link's
 * simulate_ratio divides.
 */
#ifndef TOOLS_BENCH_MEMORY_BENCH_H
#define TOOLS_BENCH_MEMORY_BENCH_H

#include "common/status.h"

/* Prints "cpu:0 (2 threads, avx2): 12.34 GB/s read" on stdout. `device` is a
 * name for device_open; n_threads 0: all. Takes well under a second. */
enum status memory_bench_run(const char *device, int n_threads, struct err *err);

#endif
