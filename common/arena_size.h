/*
 * arena_size.h - how much of the store's arena a sequence needs.
 *
 * The arena is handed out in extents, multiples of ARENA_EXTENT_BYTES, each for
 * pages of one layer. So a layer of small pages costs 2 MiB however few they
 * are: eight layers of the demo model cost 16 MiB a sequence. The store
 * allocates by these formulas and the orchestrator sizes the arena by them.
 */
#ifndef COMMON_ARENA_SIZE_H
#define COMMON_ARENA_SIZE_H

#include <stdint.h>

/* Below about 2 MiB a copy of a layer does not fill a link any more. */
#define ARENA_EXTENT_BYTES (UINT64_C(2) << 20)

/* Rounded up to whole extents; 0 stays 0. size_bytes < 2^63. */
static inline uint64_t arena_size_round(uint64_t size_bytes)
{
    return (size_bytes + ARENA_EXTENT_BYTES - 1) / ARENA_EXTENT_BYTES * ARENA_EXTENT_BYTES;
}

/* The most that n_pages pages of one layer occupy, in however many pieces they
 * are reserved. Reserving one page at a time is the worst case: an extent of
 * roundup(page_bytes) holds k = floor(extent / page_bytes) pages, and a larger
 * extent holds at least as many per byte. page_bytes > 0. */
static inline uint64_t arena_size_layer(uint64_t n_pages, uint64_t page_bytes)
{
    uint64_t extent = arena_size_round(page_bytes);
    uint64_t per_extent = extent / page_bytes;
    return (n_pages + per_extent - 1) / per_extent * extent;
}

/* A sequence of n_layers layers with n_pages page columns and a blob. With
 * page_bytes <= ARENA_EXTENT_BYTES this many free bytes always suffice, however
 * scattered they are; larger pages need contiguous room. A fork needs this for
 * the columns that it adds itself. */
static inline uint64_t arena_size_seq(uint32_t n_layers, uint64_t page_bytes, uint64_t n_pages,
                                      uint64_t blob_bytes)
{
    return n_layers * arena_size_layer(n_pages, page_bytes) + arena_size_round(blob_bytes);
}

#endif
