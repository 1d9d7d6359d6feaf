#include "kvstore/arena.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena_size.h"
#include "common/mem.h"

void arena_init(struct arena *a, uint64_t size_bytes)
{
    uint64_t whole = size_bytes / ARENA_EXTENT_BYTES * ARENA_EXTENT_BYTES;

    *a = (struct arena){.size_bytes = whole, .free_bytes = whole, .cap = 16};
    a->range = mem_array(a->cap, sizeof *a->range);
    if (whole > 0)
        a->range[a->n_ranges++] = (struct arena_range){.offset = 0, .size_bytes = whole};
}

void arena_release(struct arena *a)
{
    free(a->range);
    *a = (struct arena){0};
}

uint64_t arena_largest(const struct arena *a)
{
    uint64_t largest = 0;

    for (uint32_t i = 0; i < a->n_ranges; i++)
        if (a->range[i].size_bytes > largest)
            largest = a->range[i].size_bytes;
    return largest;
}

static void remove_range(struct arena *a, uint32_t i)
{
    memmove(&a->range[i], &a->range[i + 1], (a->n_ranges - i - 1) * sizeof *a->range);
    a->n_ranges--;
}

static void insert_range(struct arena *a, uint32_t i, struct arena_range what)
{
    if (a->n_ranges == a->cap) {
        a->cap *= 2;
        a->range = mem_resize(a->range, a->cap, sizeof *a->range);
    }
    memmove(&a->range[i + 1], &a->range[i], (a->n_ranges - i) * sizeof *a->range);
    a->range[i] = what;
    a->n_ranges++;
}

enum status arena_take(struct arena *a, uint64_t size_bytes, uint64_t *offset, struct err *err)
{
    uint64_t need;

    CHECK(size_bytes > 0);
    /* Compared before rounding: a size near 2^64 would wrap. */
    need = size_bytes <= a->size_bytes ? arena_size_round(size_bytes) : UINT64_MAX;
    for (uint32_t i = 0; i < a->n_ranges; i++) {
        struct arena_range *r = &a->range[i];
        if (r->size_bytes < need)
            continue;
        *offset = r->offset;
        r->offset += need;
        r->size_bytes -= need;
        if (r->size_bytes == 0)
            remove_range(a, i);
        a->free_bytes -= need;
        return ST_OK;
    }
    return err_set(err, ST_NO_SPACE,
                   "the arena is too full: %" PRIu64 " KiB wanted, %" PRIu64 " of %" PRIu64
                   " KiB free, the longest piece %" PRIu64 " KiB",
                   size_bytes >> 10, a->free_bytes >> 10, a->size_bytes >> 10,
                   arena_largest(a) >> 10);
}

/* Index of the first free range behind `offset`. */
static uint32_t find_after(const struct arena *a, uint64_t offset)
{
    uint32_t low = 0, high = a->n_ranges;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (a->range[mid].offset > offset)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

void arena_give(struct arena *a, uint64_t offset, uint64_t size_bytes)
{
    uint64_t size = arena_size_round(size_bytes), end = offset + size;
    uint32_t i = find_after(a, offset);
    struct arena_range *prev = i > 0 ? &a->range[i - 1] : NULL;
    struct arena_range *next = i < a->n_ranges ? &a->range[i] : NULL;

    CHECK(offset % ARENA_EXTENT_BYTES == 0 && end <= a->size_bytes);
    CHECK(!prev || prev->offset + prev->size_bytes <= offset); /* else given twice */
    CHECK(!next || end <= next->offset);
    a->free_bytes += size;
    if (prev && prev->offset + prev->size_bytes == offset) {
        prev->size_bytes += size;
        if (next && next->offset == end) {
            prev->size_bytes += next->size_bytes;
            remove_range(a, i);
        }
    } else if (next && next->offset == end) {
        next->offset = offset;
        next->size_bytes += size;
    } else {
        insert_range(a, i, (struct arena_range){.offset = offset, .size_bytes = size});
    }
}
