/*
 * attention_bench.h - how fast attention reads a KV cache, against a plain read
 * of the same bytes in the same run.
 */
#ifndef TOOLS_BENCH_ATTENTION_BENCH_H
#define TOOLS_BENCH_ATTENTION_BENCH_H

#include <stdint.h>

#include "common/status.h"

struct attention_bench {
    int64_t n_tokens, n_heads, head_dim, n_threads, n_rows, n_repeats;
    bool prefill; /* also chunks of 512 rows over their own prompt */
};

/* Prints the tables on stdout. ST_NO_SPACE if the cache does not fit. */
enum status attention_bench_run(const struct attention_bench *bench, struct err *err);

#endif
