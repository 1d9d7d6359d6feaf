/*
 * The store when something ends: space, pieces, clients, itself.
 */
#include "tests/kvstore/store_fixture.h"

#define MIB2 ARENA_EXTENT_BYTES

static const struct msg_create_seq plain = {.n_layers = 3, .page_bytes = 4096, .format = 2};

static void a_full_arena_refuses_and_goes_on(void **state)
{
    struct fixture f;
    struct fixture_client c;
    uint64_t seq;

    fixture_open(&f, 4 * MIB2);
    join(&c, &f, "a");
    seq = create(&c, plain);
    write_columns(&c, seq, 512, 1, false);              /* a unit for each of three layers */
    assert_int_equal(reserve(&c, seq, 1), ST_NO_SPACE); /* one left for three */
    assert_non_null(strstr(c.reply->error.words, "the arena is too full"));
    assert_int_equal(store_stats(&f.store).free_bytes, MIB2);
    assert_int_equal(truncate_seq(&c, seq, 500), ST_OK);
    write_columns(&c, seq, 12, 1, false);
    assert_int_equal(acquire(&c, seq, true), ST_OK);
    fixture_close(&f);
}

/* One column at a time: extents of 256 layers alternate, so that no two of a layer
 * are neighbours. */
static void a_sequence_in_too_many_pieces_is_refused_not_truncated(void **state)
{
    enum { LAYERS = 256 };
    struct msg_create_seq what = {.n_layers = LAYERS, .page_bytes = MIB2};
    struct fixture f = {0};
    struct store_args args = {.size_bytes = UINT64_C(1) << 40, .epoch = FIXTURE_EPOCH};
    uint64_t sums[LAYERS] = {0}, seq, lease;
    struct fixture_client c;
    enum status st = ST_OK;
    uint32_t columns = 0;

    store_init(&f.store, &args); /* nothing reads the bytes */
    join(&c, &f, "a");
    seq = create(&c, what);
    while (st == ST_OK) {
        st = reserve(&c, seq, 1);
        if (st != ST_OK)
            break;
        assert_true(c.reply->page_map.n_runs <= MSG_MAX_RUNS);
        lease = c.reply->page_map.lease;
        assert_int_equal(commit(&c, lease, sums, LAYERS), ST_OK);
        columns++;
    }
    assert_int_equal(st, ST_NO_SPACE);
    assert_non_null(strstr(c.reply->error.words, "pieces"));
    assert_int_equal(columns, MSG_MAX_RUNS / LAYERS);
    assert_int_equal(acquire(&c, seq, false), ST_OK);
    assert_int_equal(c.reply->page_map.n_runs, MSG_MAX_RUNS);
    store_release(&f.store);
}

static void what_a_dead_client_held_comes_back_at_once(void **state)
{
    struct msg_create_seq kept = plain, half = plain;
    struct fixture f;
    struct fixture_client a, b;
    uint64_t own, snapshot, lease;

    fixture_open(&f, 32 * MIB2);
    kept.keep = half.keep = true;
    half.blob_bytes = 64;
    join(&a, &f, "a");
    join(&b, &f, "b");
    own = create(&a, plain);
    write_columns(&a, own, 2, 1, false);
    snapshot = create(&a, kept);
    write_columns(&a, snapshot, 2, 50, false);
    create(&a, half); /* its blob is never sealed: a snapshot half made */
    assert_int_equal(acquire(&a, snapshot, false), ST_OK);
    assert_int_equal(acquire(&b, own, false), ST_OK);
    lease = b.reply->page_map.lease;
    assert_int_equal(reserve(&a, own, 600), ST_OK);
    assert_int_equal(reserve(&b, own, 1), ST_INVALID); /* not its sequence */
    assert_int_equal(truncate_seq(&b, own, 0), ST_INVALID);
    assert_int_equal(drop_seq(&b, own), ST_INVALID);
    store_door_closed(&f.store, a.token);
    assert_int_equal(store_stats(&f.store).n_clients, 1);
    assert_int_equal(store_stats(&f.store).n_reaped_clients, 1);
    assert_int_equal(store_stats(&f.store).n_leases, 1);
    assert_int_equal(store_stats(&f.store).n_reservations, 0);
    assert_int_equal(store_stats(&f.store).n_seqs, 1);
    assert_int_equal(store_stats(&f.store).used_bytes, 6 * MIB2); /* b's lease, the snapshot */
    assert_int_equal(ask(&a, (struct msg){.verb = MSG_PING}), ST_NOT_FOUND);
    assert_int_equal(release(&b, lease), ST_OK);
    assert_int_equal(acquire(&b, snapshot, true), ST_OK);
    assert_int_equal(release(&b, b.reply->page_map.lease), ST_OK);
    assert_int_equal(drop_seq(&b, snapshot), ST_OK); /* anybody may end what is kept */
    assert_int_equal(ask(&b, (struct msg){.verb = MSG_BYE}), ST_OK);
    store_door_closed(&f.store, b.token); /* its door follows; not a death */
    assert_int_equal(store_stats(&f.store).n_reaped_clients, 1);
    assert_int_equal(store_stats(&f.store).free_bytes, 32 * MIB2);
    fixture_close(&f);
}

static void a_draining_store_serves_but_opens_nothing(void **state)
{
    struct fixture f;
    struct fixture_client c;
    uint64_t seq;

    fixture_open(&f, 8 * MIB2);
    join(&c, &f, "a");
    seq = create(&c, plain);
    write_columns(&c, seq, 2, 1, false);
    assert_int_equal(ask(&c, (struct msg){.verb = MSG_DRAIN}), ST_OK);
    assert_int_equal(reserve(&c, seq, 1), ST_CLOSED);
    assert_int_equal(fork_seq(&c, seq, 0, 0), ST_CLOSED);
    assert_int_equal(ask(&c, (struct msg){.verb = MSG_CREATE_SEQ, .create_seq = plain}), ST_CLOSED);
    assert_int_equal(acquire(&c, seq, true), ST_OK);
    fixture_close(&f);
}

static void more_clients_than_there_is_room_for_are_refused(void **state)
{
    struct fixture f;
    uint64_t token[STORE_MAX_CLIENTS + 1];

    fixture_open(&f, MIB2);
    for (int i = 0; i < STORE_MAX_CLIENTS; i++) {
        assert_int_equal(store_door_open(&f.store, &token[i], NULL), ST_OK);
        for (int k = 0; k < i; k++)
            assert_true(token[k] != token[i]);
    }
    assert_int_equal(store_door_open(&f.store, &token[STORE_MAX_CLIENTS], NULL), ST_NO_SPACE);
    store_door_closed(&f.store, token[7]);
    assert_int_equal(store_door_open(&f.store, &token[7], NULL), ST_OK);
    assert_int_equal(store_stats(&f.store).n_reaped_clients, 0); /* it never said HELLO */
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_arena_refuses_and_goes_on),
        cmocka_unit_test(a_sequence_in_too_many_pieces_is_refused_not_truncated),
        cmocka_unit_test(what_a_dead_client_held_comes_back_at_once),
        cmocka_unit_test(a_draining_store_serves_but_opens_nothing),
        cmocka_unit_test(more_clients_than_there_is_room_for_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
