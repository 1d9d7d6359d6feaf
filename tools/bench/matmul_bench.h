/*
 * matmul_bench.h - how fast a device multiplies by weights that are in no cache,
 * against a plain read of its memory in the same run.
 */
#ifndef TOOLS_BENCH_MATMUL_BENCH_H
#define TOOLS_BENCH_MATMUL_BENCH_H

#include <stdint.h>

#include "common/status.h"

struct matmul_bench {
    const char *device;
    int64_t n_in, n_out; /* 0: the shapes of a model of 7 billion weights */
    int64_t n_rows;      /* 0: 1 to 64, and a chunk of 512 */
    int64_t min_ms;      /* of queued products behind one number; the best of three is printed */
};

/* Prints a table on stdout. ST_NOT_FOUND: no such device. ST_NO_SPACE if the weights do not fit. */
enum status matmul_bench_run(const struct matmul_bench *bench, struct err *err);

#endif
