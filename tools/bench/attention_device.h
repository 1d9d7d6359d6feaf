/*
 * attention_device.h - how fast a device reads a KV cache that is in none of its caches, against
 * its own copy of memory in the same run.
 */
#ifndef TOOLS_BENCH_ATTENTION_DEVICE_H
#define TOOLS_BENCH_ATTENTION_DEVICE_H

#include <stdint.h>

#include "common/status.h"

struct attention_device {
    const char *device;
    int64_t n_tokens; /* visible to the newest row; 0: 32768, then 4096 */
    int64_t n_heads, n_kv_heads, head_dim;
    int64_t n_rows; /* 0: 1, 2, 4, 9 and 33 */
};

/* Prints a table on stdout, a line for each format and number of rows. ST_NOT_FOUND: no such
 * device. ST_NO_SPACE if the caches do not fit. */
enum status attention_device_run(const struct attention_device *bench, struct err *err);

#endif
