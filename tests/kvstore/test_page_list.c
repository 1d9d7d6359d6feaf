#include "tests/test_helpers.h"

#include "common/arena_size.h"
#include "common/rng.h"
#include "kvstore/page_list.h"

#define MIB2 ARENA_EXTENT_BYTES

static void add(struct page_list *list, uint32_t n, uint64_t page_bytes, struct arena *arena)
{
    struct page_list r = {0};

    assert_int_equal(page_list_reserve(&r, list, n, page_bytes, arena, NULL), ST_OK);
    assert_int_equal(r.n_pages, n);
    page_list_commit(list, &r, arena);
}

static void pages_of_a_layer_are_one_run_while_the_extent_has_room(void **state)
{
    const uint64_t page = MIB2 / 8;
    struct page_list list = {0};
    struct msg_page_run run[4];
    struct arena arena;

    arena_init(&arena, 8 * MIB2);
    add(&list, 3, page, &arena);
    add(&list, 5, page, &arena);
    assert_int_equal(list.n_spans, 1);
    assert_int_equal(arena.free_bytes, 7 * MIB2);
    add(&list, 9, page, &arena); /* a new extent of two units, the next one in the arena */
    assert_int_equal(arena.free_bytes, 5 * MIB2);
    assert_int_equal(page_list_runs(&list, 4, 10, run), 1); /* it happens to be adjacent */
    assert_int_equal(run[0].layer, 4);
    assert_int_equal(run[0].first_page, 10);
    assert_int_equal(run[0].n_pages, 17);
    assert_int_equal(page_list_at(&list, 8).extent->offset, MIB2);
    page_list_release(&list, &arena);
    assert_int_equal(arena.free_bytes, 8 * MIB2);
    arena_release(&arena);
}

static void an_extent_shared_with_a_fork_is_not_appended_to(void **state)
{
    const uint64_t page = MIB2 / 8;
    struct page_list list = {0}, fork = {0};
    struct arena arena;

    arena_init(&arena, 8 * MIB2);
    add(&list, 3, page, &arena);
    page_list_share(&fork, &list, 2);
    add(&fork, 1, page, &arena);
    add(&list, 1, page, &arena);
    assert_int_equal(arena.free_bytes, 5 * MIB2);
    assert_ptr_equal(page_list_at(&fork, 1).extent, page_list_at(&list, 1).extent);
    assert_ptr_not_equal(page_list_at(&fork, 2).extent, page_list_at(&list, 2).extent);
    assert_ptr_not_equal(page_list_at(&fork, 2).extent, page_list_at(&list, 3).extent);
    page_list_release(&list, &arena);
    assert_int_equal(arena.free_bytes, 6 * MIB2); /* the shared one and the fork's own stay */
    page_list_release(&fork, &arena);
    assert_int_equal(arena.free_bytes, 8 * MIB2);
    arena_release(&arena);
}

static void slots_under_a_lease_are_not_written_again(void **state)
{
    const uint64_t page = MIB2 / 8;
    struct page_list list = {0};
    struct extent *leased;
    struct arena arena;

    arena_init(&arena, 8 * MIB2);
    add(&list, 4, page, &arena);
    leased = page_list_at(&list, 0).extent;
    extent_hold_lease(leased);
    add(&list, 1, page, &arena); /* behind what the lease can reach: same extent */
    assert_ptr_equal(page_list_at(&list, 4).extent, leased);
    page_list_truncate(&list, 2, &arena);
    add(&list, 1, page, &arena); /* slot 2 is still being read */
    assert_ptr_not_equal(page_list_at(&list, 2).extent, leased);
    page_list_truncate(&list, 2, &arena);
    extent_drop_lease(leased, &arena);
    add(&list, 1, page, &arena);
    assert_ptr_equal(page_list_at(&list, 2).extent, leased);
    assert_int_equal(page_list_at(&list, 2).slot, 2);
    page_list_release(&list, &arena);
    arena_release(&arena);
}

static void a_reservation_counts_as_reserved_until_it_is_committed(void **state)
{
    const uint64_t page = MIB2 / 4;
    struct page_list list = {0}, r = {0};
    struct arena arena;

    arena_init(&arena, 4 * MIB2);
    add(&list, 3, page, &arena);
    assert_int_equal(arena.reserved_bytes, 0);
    assert_int_equal(page_list_reserve(&r, &list, 2, page, &arena, NULL), ST_OK);
    assert_int_equal(arena.reserved_bytes, MIB2); /* the page in the old extent's room is not */
    page_list_release(&r, &arena);
    assert_int_equal(arena.reserved_bytes, 0);
    assert_int_equal(arena.free_bytes, 3 * MIB2);
    add(&list, 1, page, &arena); /* an abort gives the room back too */
    assert_int_equal(arena.free_bytes, 3 * MIB2);
    page_list_release(&list, &arena);
    arena_release(&arena);
}

static void scattered_room_is_used_and_too_little_leaves_nothing_behind(void **state)
{
    const uint64_t page = MIB2;
    struct page_list hole[8] = {{0}}, list = {0}, r = {0};
    struct err err = {{0}};
    struct arena arena;

    arena_init(&arena, 8 * MIB2);
    for (int i = 0; i < 8; i++)
        add(&hole[i], 1, page, &arena);
    for (int i = 1; i < 8; i += 2)
        page_list_release(&hole[i], &arena);
    assert_int_equal(page_list_reserve(&r, &list, 5, page, &arena, &err), ST_NO_SPACE);
    assert_int_equal(arena.free_bytes, 4 * MIB2);
    assert_int_equal(arena.reserved_bytes, 0);
    assert_int_equal(r.n_spans, 0);
    add(&list, 4, page, &arena);
    assert_int_equal(page_list_runs(&list, 0, 0, NULL), 4);
    page_list_release(&list, &arena);
    for (int i = 0; i < 8; i += 2)
        page_list_release(&hole[i], &arena);
    assert_int_equal(arena.n_ranges, 1);
    arena_release(&arena);
}

static void a_page_may_be_larger_than_the_unit_of_the_arena(void **state)
{
    const uint64_t page = MIB2 + 64;
    struct page_list list = {0};
    struct arena arena;

    arena_init(&arena, 8 * MIB2);
    add(&list, 1, page, &arena);
    assert_int_equal(arena.free_bytes, 6 * MIB2);
    add(&list, 2, page, &arena); /* 4 MiB + 128 bytes: three units */
    assert_int_equal(arena.free_bytes, 3 * MIB2);
    page_list_release(&list, &arena);
    arena_release(&arena);
}

/* An arena of exactly the size of the formula, its free room scattered at
 * random, takes the pages in whatever pieces they come. */
static void the_sizing_formula_always_suffices(void **state)
{
    static const uint64_t page_bytes[] = {64,          4096,      65536 + 64, 700 * 1024,
                                          1100 * 1024, MIB2 - 64, MIB2};

    for (uint32_t trial = 0; trial < 700; trial++) {
        uint64_t page = page_bytes[trial % 7];
        uint32_t per = (uint32_t)(MIB2 / page), left;
        uint32_t n = 1 + (uint32_t)(rng_uniform(2, RNG_TEST, trial, 0) * 20 * per);
        uint32_t units = (uint32_t)(arena_size_layer(n, page) / MIB2);
        struct page_list *other = calloc(2 * units, sizeof *other);
        struct page_list list = {0};
        struct arena arena;

        arena_init(&arena, 2 * units * MIB2);
        for (uint32_t i = 0; i < 2 * units; i++)
            add(&other[i], 1, MIB2, &arena);
        for (uint32_t i = 0; i < units; i++) /* one of every two goes */
            page_list_release(&other[2 * i + (rng_uniform(2, RNG_TEST, trial, 9 + i) < 0.5)],
                              &arena);
        for (left = n; left > 0;) {
            uint32_t take = 1 + (uint32_t)(rng_uniform(3, RNG_TEST, trial, left) * 3 * per);
            take = take < left ? take : left;
            add(&list, take, page, &arena);
            left -= take;
        }
        page_list_release(&list, &arena);
        for (uint32_t i = 0; i < 2 * units; i++)
            page_list_release(&other[i], &arena);
        assert_int_equal(arena.free_bytes, arena.size_bytes);
        arena_release(&arena);
        free(other);
    }
    assert_int_equal(arena_size_seq(8, 65536, 33, 1), 8 * 2 * MIB2 + MIB2);
    assert_int_equal(arena_size_seq(3, MIB2 + 64, 2, 0), 3 * 2 * 2 * MIB2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_a_layer_are_one_run_while_the_extent_has_room),
        cmocka_unit_test(an_extent_shared_with_a_fork_is_not_appended_to),
        cmocka_unit_test(slots_under_a_lease_are_not_written_again),
        cmocka_unit_test(a_reservation_counts_as_reserved_until_it_is_committed),
        cmocka_unit_test(scattered_room_is_used_and_too_little_leaves_nothing_behind),
        cmocka_unit_test(a_page_may_be_larger_than_the_unit_of_the_arena),
        cmocka_unit_test(the_sizing_formula_always_suffices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
