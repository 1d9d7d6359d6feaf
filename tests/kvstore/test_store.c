#include "tests/kvstore/store_fixture.h"

#define MIB2 ARENA_EXTENT_BYTES

static const struct msg_create_seq plain = {.n_layers = 3, .page_bytes = 4096, .format = 2};

static void hello_refuses_another_layout_page_size_protocol_or_token(void **state)
{
    struct fixture f;
    struct fixture_client c = {.f = &f, .peer = "a"};
    struct msg m;
    uint64_t token;

    fixture_open(&f, 4 * MIB2);
    assert_int_equal(store_door_open(&f.store, &token, NULL), ST_OK);
    assert_int_equal(ask(&c, (struct msg){.verb = MSG_PING}), ST_NOT_FOUND); /* a stranger */
    m = hello_msg(token);
    m.hello.layout_id++;
    assert_int_equal(ask(&c, m), ST_VERSION);
    assert_non_null(strstr(c.reply->error.words, "layout 2, this store 1"));
    m = hello_msg(token);
    m.hello.page_tokens = 64;
    assert_int_equal(ask(&c, m), ST_VERSION);
    m = hello_msg(token);
    m.hello.protocol = 99;
    assert_int_equal(ask(&c, m), ST_VERSION);
    assert_int_equal(ask(&c, hello_msg(token + 1)), ST_NOT_FOUND);
    assert_int_equal(ask(&c, hello_msg(token)), ST_OK);
    assert_int_equal(c.reply->welcome.arena_bytes, 4 * MIB2);
    assert_int_equal(c.reply->welcome.epoch, FIXTURE_EPOCH);
    snprintf(c.peer, sizeof c.peer, "b");
    assert_int_equal(ask(&c, hello_msg(token)), ST_NOT_FOUND); /* the token is taken */
    fixture_close(&f);
}

static void a_stale_epoch_is_refused_and_changes_nothing(void **state)
{
    struct fixture f;
    struct fixture_client c;
    struct msg m = {.verb = MSG_CREATE_SEQ, .create_seq = plain};

    fixture_open(&f, 4 * MIB2);
    join(&c, &f, "a");
    m.request = ++f.n_requests;
    m.epoch = FIXTURE_EPOCH + 1;
    c.reply = store_dispatch(&f.store, "a", &m);
    assert_int_equal(c.reply->verb, MSG_ERROR);
    assert_int_equal(c.reply->error.status, ST_STALE);
    assert_int_equal(store_stats(&f.store).n_seqs, 0);
    fixture_close(&f);
}

static void a_repeated_request_gets_the_same_reply_and_happens_once(void **state)
{
    struct fixture f;
    struct fixture_client c;
    struct msg first;
    uint64_t seq;

    fixture_open(&f, 4 * MIB2);
    join(&c, &f, "a");
    seq = create(&c, plain);
    first = c.sent;
    for (int i = 0; i < 3; i++) {
        c.reply = store_dispatch(&f.store, "a", &first);
        assert_int_equal(c.reply->verb, MSG_SEQ);
        assert_int_equal(c.reply->seq.seq, seq);
    }
    assert_int_equal(store_stats(&f.store).n_seqs, 1);
    first.verb = MSG_PING; /* same number, another question */
    assert_int_equal(store_dispatch(&f.store, "a", &first)->error.status, ST_INVALID);
    for (int i = 0; i < CLIENT_REPLIES; i++)
        assert_int_equal(ask(&c, (struct msg){.verb = MSG_PING}), ST_OK);
    first.verb = MSG_CREATE_SEQ; /* its reply is gone: refused, not done again */
    assert_int_equal(store_dispatch(&f.store, "a", &first)->error.status, ST_STALE);
    assert_int_equal(store_stats(&f.store).n_seqs, 1);
    fixture_close(&f);
}

static void unknown_numbers_are_not_found(void **state)
{
    static const uint64_t ids[] = {0, 1, 7, UINT64_MAX, (1 << 20) | (1 << 16)};
    struct fixture f;
    struct fixture_client c;

    fixture_open(&f, 4 * MIB2);
    join(&c, &f, "a");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(reserve(&c, ids[i], 1), ST_NOT_FOUND);
        assert_int_equal(commit(&c, ids[i], NULL, 0), ST_NOT_FOUND);
        assert_int_equal(acquire(&c, ids[i], true), ST_NOT_FOUND);
        assert_int_equal(fork_seq(&c, ids[i], 0, 0), ST_NOT_FOUND);
        assert_int_equal(truncate_seq(&c, ids[i], 0), ST_NOT_FOUND);
        assert_int_equal(drop_seq(&c, ids[i]), ST_NOT_FOUND);
        assert_int_equal(release(&c, ids[i]), ST_NOT_FOUND);
    }
    assert_int_equal(ask(&c, (struct msg){.verb = MSG_WELCOME}), ST_INVALID);
    assert_int_equal(ask(&c, (struct msg){.verb = MSG_PROPOSE}), ST_INVALID);
    assert_int_equal(ask(&c, (struct msg){.verb = (enum msg_verb)250}), ST_INVALID);
    fixture_close(&f);
}

static void bad_fields_of_a_new_sequence_are_named(void **state)
{
    static const struct {
        struct msg_create_seq what;
        enum status st;
        const char *word;
    } bad[] = {
        {{.n_layers = 0, .page_bytes = 64}, ST_INVALID, "n_layers is 0"},
        {{.n_layers = MSG_MAX_LAYERS + 1, .page_bytes = 64}, ST_INVALID, "n_layers is 257"},
        {{.first_layer = 5, .n_layers = 4, .page_bytes = 64}, ST_INVALID, "first_layer is 5"},
        {{.n_layers = 4, .page_bytes = 0}, ST_INVALID, "page_bytes is 0"},
        {{.n_layers = 4, .page_bytes = 100}, ST_INVALID, "page_bytes is 100"},
        {{.n_layers = 4, .page_bytes = UINT64_MAX - 63}, ST_INVALID, "more than the arena"},
        {{.n_layers = 4, .page_bytes = 64, .blob_bytes = UINT64_MAX}, ST_NO_SPACE, "blob"},
        {{.n_layers = 4, .page_bytes = 64, .blob_bytes = 5 << 20}, ST_NO_SPACE, "blob"},
    };
    struct fixture f;
    struct fixture_client c;

    fixture_open(&f, 2 * MIB2);
    join(&c, &f, "a");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct msg m = {.verb = MSG_CREATE_SEQ, .create_seq = bad[i].what};
        assert_int_equal(ask(&c, m), bad[i].st);
        assert_non_null(strstr(c.reply->error.words, bad[i].word));
    }
    assert_int_equal(store_stats(&f.store).free_bytes, 2 * MIB2);
    assert_int_equal(store_stats(&f.store).n_refused, 8);
    fixture_close(&f);
}

static void pages_appear_at_commit_and_never_before(void **state)
{
    struct fixture f;
    struct fixture_client c;
    uint64_t seq, lease, sums[6] = {0};

    fixture_open(&f, 8 * MIB2);
    join(&c, &f, "a");
    seq = create(&c, plain);
    assert_int_equal(reserve(&c, seq, 2), ST_OK);
    lease = c.reply->page_map.lease;
    assert_int_equal(c.reply->page_map.n_runs, 3);
    assert_int_equal(store_stats(&f.store).reserved_bytes, 3 * MIB2);
    assert_int_equal(reserve(&c, seq, 1), ST_INVALID); /* one at a time */
    assert_int_equal(truncate_seq(&c, seq, 0), ST_INVALID);
    assert_int_equal(acquire(&c, seq, true), ST_OK);
    assert_int_equal(c.reply->page_map.n_pages, 0);
    assert_int_equal(c.reply->page_map.n_runs, 0);
    assert_int_equal(commit(&c, lease, sums, 5), ST_INVALID); /* all or nothing */
    assert_non_null(strstr(c.reply->error.words, "5 checksums for 2 columns of 3 layers"));
    assert_int_equal(store_stats(&f.store).n_pages, 0);
    assert_int_equal(commit(&c, lease, sums, 6), ST_OK);
    assert_int_equal(store_stats(&f.store).n_pages, 6);
    assert_int_equal(store_stats(&f.store).reserved_bytes, 0);
    assert_int_equal(commit(&c, lease, sums, 6), ST_NOT_FOUND);
    assert_int_equal(reserve(&c, seq, 4), ST_OK);
    lease = c.reply->page_map.lease;
    assert_int_equal(c.reply->page_map.run[0].first_page, 2);
    assert_int_equal(ask(&c, (struct msg){.verb = MSG_ABORT, .abort = {.lease = lease}}), ST_OK);
    assert_int_equal(store_stats(&f.store).n_pages, 6);
    assert_int_equal(reserve(&c, seq, UINT32_MAX), ST_INVALID);
    assert_int_equal(reserve(&c, seq, 100000), ST_INVALID); /* more than one COMMIT carries */
    assert_sums(&f);
    fixture_close(&f);
}

static void a_flipped_byte_is_found_by_acquire_and_by_fork(void **state)
{
    struct fixture f;
    struct fixture_client c;
    struct msg_create_seq what = plain;
    uint64_t seq, at, blob;

    fixture_open(&f, 8 * MIB2);
    join(&c, &f, "a");
    what.blob_bytes = 1000;
    what.first_layer = 1;
    seq = create(&c, what);
    blob = c.reply->seq.blob_offset;
    memset(f.base + blob, 9, 1000);
    write_columns(&c, seq, 5, 40, true);
    assert_int_equal(acquire(&c, seq, true), ST_OK);
    at = page_offset(&c.reply->page_map, 2, 3);
    assert_int_equal(f.base[at], 42);
    f.base[at + 4095] ^= 1; /* the last byte of the page */
    assert_int_equal(acquire(&c, seq, true), ST_CORRUPT);
    assert_non_null(strstr(c.reply->error.words, "layer 2 page 3"));
    assert_int_equal(fork_seq(&c, seq, 1, 5), ST_CORRUPT);
    assert_int_equal(fork_seq(&c, seq, 1, 3), ST_OK); /* the bad page is not in it */
    assert_int_equal(acquire(&c, seq, false), ST_OK);
    assert_int_equal(store_stats(&f.store).n_checksum_failures, 2);
    f.base[at + 4095] ^= 1;
    f.base[blob + 999] ^= 128;
    assert_int_equal(acquire(&c, seq, true), ST_CORRUPT);
    assert_non_null(strstr(c.reply->error.words, "blob"));
    f.base[blob + 999] ^= 128;
    f.base[blob + 1000] ^= 128; /* behind the blob */
    assert_int_equal(acquire(&c, seq, true), ST_OK);
    fixture_close(&f);
}

static void a_blob_is_sealed_once_and_shared_by_forks(void **state)
{
    struct fixture f;
    struct fixture_client c;
    struct msg_create_seq what = {.n_layers = 2, .page_bytes = 64, .blob_bytes = 64, .keep = true};
    struct msg again = {.verb = MSG_COMMIT, .commit = {.blob = true}};
    uint64_t seq, blob, fork;

    fixture_open(&f, 8 * MIB2);
    join(&c, &f, "a");
    seq = create(&c, what);
    blob = c.reply->seq.blob_offset;
    assert_int_equal(fork_seq(&c, seq, 0, 0), ST_OK); /* not sealed: the fork has none */
    assert_int_equal(acquire(&c, c.reply->seq.seq, true), ST_OK);
    assert_int_equal(c.reply->page_map.blob_bytes, 0);
    write_columns(&c, seq, 0, 0, true); /* a prompt shorter than a page has only a blob */
    assert_int_equal(reserve(&c, seq, 0), ST_OK);
    again.commit.lease = c.reply->page_map.lease;
    assert_int_equal(ask(&c, again), ST_INVALID);
    assert_non_null(strstr(c.reply->error.words, "sealed already"));
    assert_int_equal(fork_seq(&c, seq, 0, 0), ST_OK);
    fork = c.reply->seq.seq;
    assert_int_equal(c.reply->seq.blob_offset, blob);
    assert_int_equal(drop_seq(&c, seq), ST_OK);
    assert_int_equal(acquire(&c, fork, true), ST_OK);
    assert_int_equal(c.reply->page_map.blob_offset, blob);
    assert_int_equal(c.reply->page_map.blob_bytes, 64);
    fixture_close(&f);
}

static void a_fork_shares_pages_and_then_goes_its_own_way(void **state)
{
    struct fixture f;
    struct fixture_client c;
    uint64_t seq, fork, at, used;

    fixture_open(&f, 16 * MIB2);
    join(&c, &f, "a");
    seq = create(&c, plain);
    write_columns(&c, seq, 5, 10, false);
    used = store_stats(&f.store).used_bytes;
    assert_int_equal(acquire(&c, seq, false), ST_OK);
    at = page_offset(&c.reply->page_map, 2, 3);
    assert_int_equal(fork_seq(&c, seq, 1, 4), ST_OK);
    fork = c.reply->seq.seq;
    assert_int_equal(store_stats(&f.store).used_bytes, used);
    write_columns(&c, fork, 2, 60, false);
    write_columns(&c, seq, 2, 70, false);
    assert_int_equal(acquire(&c, fork, true), ST_OK);
    assert_int_equal(c.reply->page_map.n_pages, 6);
    assert_int_equal(c.reply->page_map.first_layer, 1);
    assert_int_equal(page_offset(&c.reply->page_map, 2, 3), at);
    assert_int_equal(f.base[page_offset(&c.reply->page_map, 2, 4)], 62);
    assert_int_equal(page_offset(&c.reply->page_map, 0, 0), UINT64_MAX);
    assert_int_equal(acquire(&c, seq, true), ST_OK);
    assert_int_equal(f.base[page_offset(&c.reply->page_map, 2, 4)], 12);
    assert_int_equal(f.base[page_offset(&c.reply->page_map, 2, 5)], 72);
    assert_int_equal(fork_seq(&c, seq, 0, 8), ST_INVALID);
    assert_int_equal(fork_seq(&c, fork, 0, 1), ST_INVALID);
    assert_int_equal(fork_seq(&c, fork, 3, 1), ST_OK); /* no layers: all of them on the device */
    assert_int_equal(fork_seq(&c, fork, 4, 1), ST_INVALID);
    assert_sums(&f);
    fixture_close(&f);
}

static void leased_pages_outlive_truncate_and_drop(void **state)
{
    struct fixture f;
    struct fixture_client c;
    uint64_t seq, lease, at, generation;

    fixture_open(&f, 16 * MIB2);
    join(&c, &f, "a");
    seq = create(&c, plain);
    write_columns(&c, seq, 5, 10, false);
    assert_int_equal(acquire(&c, seq, false), ST_OK);
    lease = c.reply->page_map.lease;
    generation = c.reply->page_map.generation;
    at = page_offset(&c.reply->page_map, 1, 4);
    assert_int_equal(truncate_seq(&c, seq, 6), ST_INVALID);
    assert_int_equal(truncate_seq(&c, seq, 2), ST_OK);
    write_columns(&c, seq, 3, 90, false);
    assert_int_equal(f.base[at], 11);
    assert_int_equal(acquire(&c, seq, true), ST_OK);
    assert_true(c.reply->page_map.generation > generation);
    assert_int_equal(release(&c, c.reply->page_map.lease), ST_OK);
    assert_int_equal(drop_seq(&c, seq), ST_OK);
    assert_int_equal(store_stats(&f.store).used_bytes, 3 * MIB2);
    assert_int_equal(release(&c, lease), ST_OK);
    assert_int_equal(release(&c, lease), ST_NOT_FOUND);
    assert_int_equal(store_stats(&f.store).free_bytes, 16 * MIB2);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_refuses_another_layout_page_size_protocol_or_token),
        cmocka_unit_test(a_stale_epoch_is_refused_and_changes_nothing),
        cmocka_unit_test(a_repeated_request_gets_the_same_reply_and_happens_once),
        cmocka_unit_test(unknown_numbers_are_not_found),
        cmocka_unit_test(bad_fields_of_a_new_sequence_are_named),
        cmocka_unit_test(pages_appear_at_commit_and_never_before),
        cmocka_unit_test(a_flipped_byte_is_found_by_acquire_and_by_fork),
        cmocka_unit_test(a_blob_is_sealed_once_and_shared_by_forks),
        cmocka_unit_test(a_fork_shares_pages_and_then_goes_its_own_way),
        cmocka_unit_test(leased_pages_outlive_truncate_and_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
