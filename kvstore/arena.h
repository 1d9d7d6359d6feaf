/*
 * arena.h - which bytes of the arena are free.
 *
 * First fit over ranges sorted by offset; neighbours are joined when bytes come
 * back. Everything is a multiple of ARENA_EXTENT_BYTES. Knows nothing of pages
 * and touches no memory of the arena itself.
 */
#ifndef KVSTORE_ARENA_H
#define KVSTORE_ARENA_H

#include <stdint.h>

#include "common/status.h"

struct arena_range {
    uint64_t offset, size_bytes;
};

struct arena {
    uint64_t size_bytes, free_bytes;
    uint64_t reserved_bytes;   /* kept by extent.h: taken, but nothing committed yet */
    uint32_t n_ranges, cap;    /* ranges are free, sorted, never adjacent */
    struct arena_range *range; /* owned */
};

/* A size that is not a multiple of ARENA_EXTENT_BYTES is rounded down. */
void arena_init(struct arena *a, uint64_t size_bytes);
void arena_release(struct arena *a);

/* size_bytes > 0, rounded up. ST_NO_SPACE says how full the arena is; *offset is
 * then untouched. */
enum status arena_take(struct arena *a, uint64_t size_bytes, uint64_t *offset, struct err *err);
/* Exactly what was taken, or a part of it. */
void arena_give(struct arena *a, uint64_t offset, uint64_t size_bytes);
uint64_t arena_largest(const struct arena *a); /* longest free range; 0 if full */

#endif
