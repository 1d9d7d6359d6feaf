#include "tests/test_helpers.h"

#include "common/arena_size.h"
#include "common/rng.h"
#include "kvstore/arena.h"
#include "kvstore/id_table.h"

#define MIB2 ARENA_EXTENT_BYTES

static void the_first_piece_that_fits_is_taken(void **state)
{
    struct arena a;
    uint64_t at[4], again;

    arena_init(&a, 8 * MIB2 + 12345); /* the odd bytes at the end are not used */
    assert_int_equal(a.size_bytes, 8 * MIB2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(arena_take(&a, MIB2 + (i == 1), &at[i], NULL), ST_OK);
    assert_int_equal(at[1], MIB2);
    assert_int_equal(at[2], 3 * MIB2); /* the second was rounded up to two */
    arena_give(&a, at[2], MIB2);
    arena_give(&a, at[0], MIB2);
    assert_int_equal(arena_take(&a, 1, &again, NULL), ST_OK);
    assert_int_equal(again, 0);
    assert_int_equal(arena_take(&a, 2 * MIB2, &again, NULL), ST_OK);
    assert_int_equal(again, 5 * MIB2); /* the hole at 3 is too short */
    arena_release(&a);
}

static void neighbours_are_joined_whatever_the_order(void **state)
{
    static const int order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    for (int k = 0; k < 6; k++) {
        struct arena a;
        uint64_t at[3];
        arena_init(&a, 3 * MIB2);
        for (int i = 0; i < 3; i++)
            assert_int_equal(arena_take(&a, MIB2, &at[i], NULL), ST_OK);
        for (int i = 0; i < 3; i++)
            arena_give(&a, at[order[k][i]], MIB2);
        assert_int_equal(a.n_ranges, 1);
        assert_int_equal(arena_largest(&a), 3 * MIB2);
        arena_release(&a);
    }
}

static void a_full_arena_says_how_full_it_is(void **state)
{
    struct arena a;
    struct err err = {{0}};
    uint64_t at = 77;

    arena_init(&a, 2 * MIB2);
    assert_int_equal(arena_take(&a, 3 * MIB2, &at, &err), ST_NO_SPACE);
    assert_non_null(strstr(err.text, "6144 KiB wanted, 4096 of 4096 KiB free"));
    assert_int_equal(arena_take(&a, UINT64_MAX, &at, &err), ST_NO_SPACE);
    assert_int_equal(at, 77);
    assert_int_equal(a.free_bytes, 2 * MIB2);
    arena_release(&a);
    arena_init(&a, 100); /* not one extent */
    assert_int_equal(arena_take(&a, 1, &at, &err), ST_NO_SPACE);
    arena_release(&a);
}

/* Against a map of units: what is handed out was free, the sums hold, and the
 * free ranges are exactly the free units. */
static void random_takes_and_gives_agree_with_a_bitmap(void **state)
{
    enum { UNITS = 64, HELD = 64, OPS = 100000 };
    static uint8_t used[UNITS];
    struct arena_range held[HELD];
    uint32_t n_held = 0;
    struct arena a;

    arena_init(&a, UNITS * MIB2);
    for (uint32_t op = 0; op < OPS; op++) {
        double u = rng_uniform(1, RNG_TEST, op, 0), v = rng_uniform(1, RNG_TEST, op, 1);
        uint32_t units = 1 + (uint32_t)(v * v * 12), longest = 0, run = 0, n_free = 0;
        uint64_t at = 0;
        if (u < 0.5 && n_held < HELD) {
            enum status st = arena_take(&a, units * MIB2 - (op % 2), &at, NULL);
            for (uint32_t i = 0; i < UNITS; i++) {
                run = used[i] ? 0 : run + 1;
                longest = run > longest ? run : longest;
            }
            assert_int_equal(st, units <= longest ? ST_OK : ST_NO_SPACE);
            if (st != ST_OK)
                continue;
            for (uint32_t i = 0; i < units; i++)
                assert_int_equal(used[at / MIB2 + i]++, 0);
            held[n_held++] = (struct arena_range){at, units * MIB2};
        } else if (n_held > 0) {
            struct arena_range r = held[(uint32_t)(v * n_held)];
            held[(uint32_t)(v * n_held)] = held[n_held - 1];
            n_held--;
            memset(&used[r.offset / MIB2], 0, r.size_bytes / MIB2);
            arena_give(&a, r.offset, r.size_bytes);
        }
        for (uint32_t i = 0; i < UNITS; i++)
            n_free += !used[i];
        assert_int_equal(a.free_bytes, n_free * MIB2);
        for (uint32_t i = 0; i < a.n_ranges; i++) {
            const struct arena_range *r = &a.range[i];
            uint64_t end = r->offset + r->size_bytes;
            assert_true(r->offset == 0 || used[r->offset / MIB2 - 1]);
            assert_true(end == a.size_bytes || used[end / MIB2]);
        }
    }
    arena_release(&a);
}

static void numbers_are_never_used_twice_and_have_a_kind(void **state)
{
    struct id_table seqs, leases;
    int thing[3];
    uint64_t a, b, c, d;

    id_table_init(&seqs, ID_SEQ);
    id_table_init(&leases, ID_LEASE);
    assert_int_equal(id_table_add(&seqs, &thing[0], &a, NULL), ST_OK);
    assert_int_equal(id_table_add(&seqs, &thing[1], &b, NULL), ST_OK);
    assert_int_equal(id_table_add(&leases, &thing[2], &c, NULL), ST_OK);
    assert_ptr_equal(id_table_find(&seqs, a), &thing[0]);
    assert_null(id_table_find(&leases, a));
    assert_null(id_table_find(&seqs, c));
    assert_null(id_table_find(&seqs, 0));
    assert_null(id_table_find(&seqs, UINT64_MAX));
    id_table_remove(&seqs, a);
    assert_null(id_table_find(&seqs, a));
    assert_int_equal(id_table_add(&seqs, &thing[2], &d, NULL), ST_OK);
    assert_true(d != a);
    assert_null(id_table_find(&seqs, a)); /* the slot is in use again, the number is not */
    assert_ptr_equal(id_table_find(&seqs, b), &thing[1]);
    id_table_release(&seqs);
    id_table_release(&leases);
}

static void a_full_table_of_numbers_refuses(void **state)
{
    struct id_table t;
    int thing;
    uint64_t id = 0, middle = 0;

    id_table_init(&t, ID_LEASE);
    for (int i = 0; i < ID_TABLE_MAX; i++) {
        assert_int_equal(id_table_add(&t, &thing, &id, NULL), ST_OK);
        if (i == ID_TABLE_MAX / 2)
            middle = id;
    }
    assert_int_equal(id_table_add(&t, &thing, &id, NULL), ST_NO_SPACE);
    id_table_remove(&t, middle);
    assert_int_equal(id_table_add(&t, &thing, &id, NULL), ST_OK);
    id_table_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_piece_that_fits_is_taken),
        cmocka_unit_test(neighbours_are_joined_whatever_the_order),
        cmocka_unit_test(a_full_arena_says_how_full_it_is),
        cmocka_unit_test(random_takes_and_gives_agree_with_a_bitmap),
        cmocka_unit_test(numbers_are_never_used_twice_and_have_a_kind),
        cmocka_unit_test(a_full_table_of_numbers_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
