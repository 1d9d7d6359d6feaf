#include "kvstore/extent.h"

#include <stdlib.h>
#include <string.h>

#include "common/arena_size.h"
#include "common/mem.h"

/* The length asked for, or the longest piece there is. */
static uint64_t pick_size(const struct arena *arena, uint64_t want, uint64_t page_bytes)
{
    uint64_t largest = arena_largest(arena);

    if (want <= largest || largest < page_bytes)
        return want; /* fits, or fails with the arena's own words */
    return largest;
}

enum status extent_take(struct extent **out, struct arena *arena, uint32_t n_pages,
                        uint64_t page_bytes, struct err *err)
{
    uint64_t offset = 0, size, want;
    struct extent *e;
    enum status st;

    CHECK(n_pages > 0 && page_bytes > 0);
    if (page_bytes > arena->size_bytes)
        return err_set(err, ST_NO_SPACE, "one piece of %llu bytes is more than the arena's %llu",
                       (unsigned long long)page_bytes, (unsigned long long)arena->size_bytes);
    /* Both factors are bounded (32 bits, an arena's size), the product is not. */
    if (__builtin_mul_overflow((uint64_t)n_pages, page_bytes, &want) || want > arena->size_bytes)
        want = arena->size_bytes;
    size = pick_size(arena, arena_size_round(want), page_bytes);
    st = arena_take(arena, size, &offset, err);
    if (st != ST_OK)
        return st;
    e = mem_zalloc(sizeof *e);
    e->offset = offset;
    e->size_bytes = size;
    e->page_bytes = page_bytes;
    e->n_slots = size / page_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)(size / page_bytes);
    e->n_lists = 1;
    e->is_reserved = true;
    arena->reserved_bytes += size;
    *out = e;
    return ST_OK;
}

void extent_hold_list(struct extent *e)
{
    e->n_lists++;
}

void extent_hold_lease(struct extent *e)
{
    e->n_leases++;
}

static void close_if_unheld(struct extent *e, struct arena *arena)
{
    if (e->n_lists > 0 || e->n_leases > 0)
        return;
    extent_settle(e, arena);
    arena_give(arena, e->offset, e->size_bytes);
    free(e->header);
    free(e);
}

void extent_drop_list(struct extent *e, struct arena *arena)
{
    CHECK(e->n_lists > 0);
    e->n_lists--;
    close_if_unheld(e, arena);
}

void extent_drop_lease(struct extent *e, struct arena *arena)
{
    CHECK(e->n_leases > 0);
    e->n_leases--;
    close_if_unheld(e, arena);
}

void extent_settle(struct extent *e, struct arena *arena)
{
    if (!e->is_reserved)
        return;
    CHECK(arena->reserved_bytes >= e->size_bytes);
    arena->reserved_bytes -= e->size_bytes;
    e->is_reserved = false;
}

void extent_set_header(struct extent *e, uint32_t slot, const struct page_header *header)
{
    CHECK(slot < e->n_slots);
    if (slot >= e->n_headers) {
        uint32_t n = slot + 1 + slot / 2;
        if (n > e->n_slots)
            n = e->n_slots;
        e->header = mem_resize(e->header, n, sizeof *e->header);
        memset(&e->header[e->n_headers], 0, (n - e->n_headers) * sizeof *e->header);
        e->n_headers = n;
    }
    e->header[slot] = *header;
}
