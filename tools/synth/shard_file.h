/*
 * shard_file.h - one safetensors file of random weights, written in pieces by all threads.
 */
#ifndef TOOLS_SYNTH_SHARD_FILE_H
#define TOOLS_SYNTH_SHARD_FILE_H

#include "common/pool.h"
#include "tools/synth/weight_source.h"

/* A piece is made in memory and written with one call; a thread holds one. */
enum { SHARD_PIECE_BYTES = 1 << 20 };

struct shard_file_args {
    const struct tensor_list *list; /* pointers are borrowed */
    size_t shard;
    const struct weight_source *source;
    enum weight_dtype dtype;
    struct pool *pool;
    uint8_t *buffer; /* [pool_n_threads][SHARD_PIECE_BYTES] */
};

/* Size byte count and JSON header, padded with spaces to a multiple of 8; owned by the caller. */
uint8_t *shard_file_header(const struct tensor_list *list, size_t shard, enum weight_dtype dtype,
                           size_t *n_bytes);

/* Creates `path`, which must not exist, and syncs it. ST_IO; ST_CLOSED: the user asked to stop. */
enum status shard_file_write(const struct shard_file_args *args, const char *path, struct err *err);

#endif
