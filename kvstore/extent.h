/*
 * extent.h - a contiguous piece of the arena that holds pages of one layer.
 *
 * Page lists and leases hold an extent; the last to let go gives its bytes back
 * to the arena. A blob is an extent of one slot. The headers of its pages lie
 * here, in the store's own memory, where no client can scribble on them
 * (FORMATS.md, "Page header").
 */
#ifndef KVSTORE_EXTENT_H
#define KVSTORE_EXTENT_H

#include <stdint.h>

#include "common/status.h"
#include "kvstore/arena.h"

/* One cache line for every committed page. */
struct page_header {
    uint64_t generation; /* of the sequence when it was committed */
    uint64_t checksum;   /* XXH3-64 of page_bytes */
    uint64_t seq;        /* the sequence that wrote it; forks read it too */
    uint64_t offset;     /* in the arena */
    uint64_t page_bytes;
    uint32_t layer, page;
    uint32_t format, layout_id;
    uint32_t state; /* enum page_state */
    uint32_t unused;
};
enum page_state { PAGE_FREE = 0, PAGE_COMMITTED = 1 };

_Static_assert(sizeof(struct page_header) == 64, "a page header is one cache line");

struct extent {
    uint64_t offset, size_bytes, page_bytes;
    uint32_t n_slots;           /* pages that fit */
    uint32_t n_lists, n_leases; /* who holds it */
    uint32_t high;              /* no lease or other list reaches a slot at or above it */
    bool is_reserved;           /* nothing in it was ever committed */
    uint32_t n_headers;
    struct page_header *header; /* [n_headers], grows as pages are committed; owned */
};

/* A new extent for up to n_pages pages, held by one list and counted as
 * reserved. If no piece is long enough it is the longest one that holds a page at
 * least: look at n_slots. ST_NO_SPACE: not even one page. */
enum status extent_take(struct extent **out, struct arena *arena, uint32_t n_pages,
                        uint64_t page_bytes, struct err *err);

void extent_hold_list(struct extent *e);
void extent_hold_lease(struct extent *e);
void extent_drop_list(struct extent *e, struct arena *arena);
void extent_drop_lease(struct extent *e, struct arena *arena);

/* Something in it is committed now: it no longer counts as reserved. */
void extent_settle(struct extent *e, struct arena *arena);

/* slot < n_slots. Makes room for the header and writes it. */
void extent_set_header(struct extent *e, uint32_t slot, const struct page_header *header);

#endif
