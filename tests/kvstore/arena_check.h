/*
 * arena_check.h - looks into a store: does somebody hold every byte of its arena,
 * and nobody the same one twice?
 */
#ifndef TESTS_KVSTORE_ARENA_CHECK_H
#define TESTS_KVSTORE_ARENA_CHECK_H

#include "tests/test_helpers.h"

#include "common/arena_size.h"
#include "kvstore/store.h"

enum { CHECK_MAX_UNITS = 64 };

/* owner_of[unit]: 0 nobody, 1 an extent, 2 free. */
static inline void mark(uint8_t *owner_of, uint64_t offset, uint64_t size_bytes, uint8_t what)
{
    for (uint64_t u = offset / ARENA_EXTENT_BYTES; u < (offset + size_bytes) / ARENA_EXTENT_BYTES;
         u++) {
        assert_int_equal(owner_of[u], 0);
        owner_of[u] = what;
    }
}

struct extent_set {
    const struct extent *item[4096];
    uint32_t n;
};

static inline void add_extent(struct extent_set *set, const struct extent *e)
{
    for (uint32_t i = 0; i < set->n; i++)
        if (set->item[i] == e)
            return;
    assert_true(set->n < 4096);
    set->item[set->n++] = e;
}

static inline void add_lists(struct extent_set *set, const struct page_list *list, uint32_t n_lists)
{
    for (uint32_t i = 0; i < n_lists; i++)
        for (uint32_t k = 0; k < list[i].n_spans; k++)
            add_extent(set, list[i].span[k].extent);
}

/* Free ranges and the extents that somebody holds tile the arena exactly, and
 * the sums of STATS are theirs. */
static inline void check_arena(const struct store *s)
{
    static struct extent_set set;
    uint8_t owner_of[CHECK_MAX_UNITS] = {0};
    uint64_t n_units = s->arena.size_bytes / ARENA_EXTENT_BYTES;
    struct msg_stats stats = store_stats(s);
    uint64_t used = 0, reserved = 0;

    set.n = 0;
    assert_true(n_units <= CHECK_MAX_UNITS);
    for (uint32_t i = 0; i < s->seqs.n_slots; i++) {
        const struct seq *seq = id_table_slot(&s->seqs, i);
        if (seq)
            add_lists(&set, seq->list, seq_n_lists(seq));
        if (seq && seq->blob)
            add_extent(&set, seq->blob);
    }
    for (uint32_t i = 0; i < s->reservations.n_slots; i++) {
        const struct reservation *r = id_table_slot(&s->reservations, i);
        if (r)
            add_lists(&set, r->list, r->n_lists);
    }
    for (uint32_t i = 0; i < s->leases.n_slots; i++) {
        const struct lease *l = id_table_slot(&s->leases, i);
        for (uint32_t k = 0; l && k < l->n_extents; k++)
            add_extent(&set, l->extent[k]);
    }
    for (uint32_t i = 0; i < set.n; i++) {
        mark(owner_of, set.item[i]->offset, set.item[i]->size_bytes, 1);
        *(set.item[i]->is_reserved ? &reserved : &used) += set.item[i]->size_bytes;
    }
    for (uint32_t i = 0; i < s->arena.n_ranges; i++)
        mark(owner_of, s->arena.range[i].offset, s->arena.range[i].size_bytes, 2);
    for (uint64_t u = 0; u < n_units; u++)
        assert_int_not_equal(owner_of[u], 0); /* lost */
    assert_int_equal(stats.used_bytes, used);
    assert_int_equal(stats.reserved_bytes, reserved);
    assert_int_equal(stats.free_bytes, s->arena.size_bytes - used - reserved);
}

#endif
