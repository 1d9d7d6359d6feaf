/*
 * The store's process and its clients' when one of them is killed.
 */
#include "tests/kvstore/process_fixture.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/clock.h"

static const char *self_path;

static void run_role(struct proc *p, const char *role, const struct rundir *dir)
{
    char *argv[] = {(char *)self_path, (char *)role, (char *)rundir_path(dir), NULL};

    assert_int_equal(proc_spawn(p, role, argv, LOG_PATH, NULL), ST_OK);
}

static void a_client_writes_and_another_reads_the_same_bytes(void **state)
{
    for (int kind = 0; kind < 2; kind++) {
        struct rundir *dir = NULL;
        struct kv_client *a, *b;
        struct msg_page_map map = {0};
        struct msg_seq seq;
        struct proc store;
        void *page[8];

        assert_int_equal(rundir_create(&dir, NULL), ST_OK);
        start(&store, dir, kind ? "memfd" : "posix", false);
        a = enter(dir, "writer");
        b = enter(dir, "reader-with-a-rather-long-name");
        assert_int_equal(kv_client_bytes(a), 33554432);
        assert_int_equal(kv_client_welcome(a)->numa_node, UINT32_MAX);
        assert_true(kv_client_welcome(a)->huge_page_bytes >= 4096);
        assert_int_equal(kv_client_create(a, &plain_seq, &seq, NULL), ST_OK);
        fill(a, seq.seq, 5, 7);
        assert_int_equal(kv_client_acquire(b, seq.seq, true, &map, NULL), ST_OK);
        assert_int_equal(map.n_pages, 5);
        kv_client_pages(b, &map, 1, 3, 4, page);
        assert_int_equal(*(uint8_t *)page[1], 7 + 16 + 4);
        assert_null(page[2]); /* page 5 is not there */
        kv_client_pages(b, &map, 7, 0, 1, page);
        assert_null(page[0]);
        assert_int_equal(kv_client_ping(b, NULL), ST_OK);
        kv_map_release(&map);
        kv_client_close(b);
        kv_client_close(a);
        stop_and_look(&store, dir);
    }
}

static void a_flipped_byte_is_named_by_layer_and_page(void **state)
{
    struct rundir *dir = NULL;
    struct msg_page_map map = {0};
    struct msg_stats stats;
    struct msg_seq seq;
    struct err err = {{0}};
    struct kv_client *c;
    struct proc store;
    void *page;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    start(&store, dir, "posix", false);
    c = enter(dir, "a");
    assert_int_equal(kv_client_create(c, &plain_seq, &seq, NULL), ST_OK);
    fill(c, seq.seq, 4, 1);
    assert_int_equal(kv_client_acquire(c, seq.seq, true, &map, NULL), ST_OK);
    kv_client_pages(c, &map, 1, 2, 1, &page);
    ((uint8_t *)page)[31000] ^= 4;
    kv_map_release(&map);
    assert_int_equal(kv_client_acquire(c, seq.seq, true, &map, &err), ST_CORRUPT);
    assert_non_null(strstr(err.text, "layer 1 page 2"));
    assert_int_equal(kv_client_stats(c, &stats, NULL), ST_OK);
    assert_int_equal(stats.n_checksum_failures, 1);
    kv_client_close(c);
    stop_and_look(&store, dir);
}

/* Role "hold": a kept snapshot, an own sequence with a lease on it, and an open
 * reservation; then it waits to be killed. */
static int role_hold(struct kv_client *c)
{
    struct msg_create_seq kept = plain_seq;
    struct msg_page_map map = {0}, lease = {0};
    struct msg_seq own, snapshot;

    kept.keep = true;
    if (kv_client_create(c, &kept, &snapshot, NULL) != ST_OK ||
        kv_client_create(c, &plain_seq, &own, NULL) != ST_OK)
        return 1;
    fill(c, snapshot.seq, 3, 1);
    fill(c, own.seq, 3, 1);
    if (kv_client_acquire(c, own.seq, false, &lease, NULL) != ST_OK ||
        kv_client_reserve(c, own.seq, 40, &map, NULL) != ST_OK)
        return 1;
    for (;;)
        pause();
}

/* Asks until the role has come to its last step: the reservation beside the lease.
 * While it fills pages there is one without. */
static void await_hold(struct kv_client *c, struct msg_stats *stats)
{
    uint64_t begin = clock_now_ns();

    do {
        clock_sleep_until(clock_now_ns() + 10000000);
        assert_int_equal(kv_client_stats(c, stats, NULL), ST_OK);
    } while ((stats->n_leases == 0 || stats->n_reservations == 0) &&
             clock_seconds_since(begin) * 1e3 < PATIENCE_MS);
    assert_int_equal(stats->n_leases, 1);
    assert_int_equal(stats->n_reservations, 1);
}

/* Asks until the store has seen the end of `n` clients. */
static void await_reaped(struct kv_client *c, struct msg_stats *stats, uint64_t n)
{
    uint64_t begin = clock_now_ns();

    while (stats->n_reaped_clients < n && clock_seconds_since(begin) * 1e3 < PATIENCE_MS)
        assert_int_equal(kv_client_stats(c, stats, NULL), ST_OK);
    assert_int_equal(stats->n_reaped_clients, n);
}

/* A client that holds all there is to hold is killed; how long until it is free. */
static double seconds_to_reclaim(void)
{
    struct rundir *dir = NULL;
    struct msg_stats stats = {0};
    struct proc store, holder;
    struct kv_client *c;
    uint64_t killed;
    double seconds;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    start(&store, dir, "posix", false);
    c = enter(dir, "watcher");
    run_role(&holder, "hold", dir);
    await_hold(c, &stats);
    assert_int_equal(stats.n_seqs, 2);
    assert_true(stats.reserved_bytes > 0);
    assert_int_equal(kill(holder.pid, SIGKILL), 0);
    killed = clock_now_ns();
    await_reaped(c, &stats, 1);
    seconds = clock_seconds_since(killed);
    assert_int_equal(stats.n_reservations, 0);
    assert_int_equal(stats.n_leases, 0);
    assert_int_equal(stats.n_seqs, 1); /* the snapshot */
    assert_int_equal(stats.reserved_bytes, 0);
    assert_int_equal(stats.used_bytes, 2 * (2 << 20));
    proc_stop(&holder, 1000);
    kv_client_close(c);
    stop_and_look(&store, dir);
    return seconds;
}

/* On a busy machine any single try may take longer, so the best of a few is judged. */
static void what_a_killed_client_held_is_free_within_a_second(void **state)
{
    enum { TRIES = 5 };
    double best = INFINITY;

    for (int i = 0; i < TRIES && best >= 1; i++)
        best = fmin(best, seconds_to_reclaim());
    print_message("reclaimed %.1f ms after the kill\n", best * 1e3);
    assert_true(best < 1);
}

/* It may wake up and write at any time, so nobody else may have its pages. */
static void a_stopped_client_holds_up_nobody_and_keeps_what_it_holds(void **state)
{
    struct rundir *dir = NULL;
    struct msg_stats before = {0}, after = {0};
    struct proc store, holder;
    struct kv_client *c;
    struct msg_seq seq;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    start(&store, dir, "memfd", false);
    c = enter(dir, "watcher");
    run_role(&holder, "hold", dir);
    await_hold(c, &before);
    assert_int_equal(kill(holder.pid, SIGSTOP), 0);
    assert_int_equal(kv_client_create(c, &plain_seq, &seq, NULL), ST_OK);
    fill(c, seq.seq, 3, 9);
    assert_int_equal(kv_client_drop(c, seq.seq, NULL), ST_OK);
    assert_int_equal(kv_client_stats(c, &after, NULL), ST_OK);
    assert_int_equal(after.n_reaped_clients, 0);
    assert_int_equal(after.n_reservations, before.n_reservations);
    assert_int_equal(after.n_leases, before.n_leases);
    assert_int_equal(after.free_bytes, before.free_bytes);
    assert_int_equal(kill(holder.pid, SIGKILL), 0); /* a stopped process dies too */
    await_reaped(c, &after, 1);
    assert_int_equal(after.n_reservations, 0);
    assert_int_equal(after.n_leases, 0);
    proc_stop(&holder, 1000);
    kv_client_close(c);
    stop_and_look(&store, dir);
}

static void clients_outlive_a_killed_store_and_a_new_one_takes_its_place(void **state)
{
    struct rundir *dir = NULL;
    struct msg_page_map map = {0};
    struct proc store, second;
    struct kv_client *c, *d;
    struct msg_seq seq;
    void *page;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    start(&store, dir, "posix", false);
    c = enter(dir, "a");
    assert_int_equal(kv_client_create(c, &plain_seq, &seq, NULL), ST_OK);
    fill(c, seq.seq, 2, 77);
    assert_int_equal(kv_client_acquire(c, seq.seq, false, &map, NULL), ST_OK);
    kill_now(&store);
    /* Not ST_TIMEOUT: its end is seen, nobody waits for an answer. */
    assert_int_equal(kv_client_ping(c, NULL), ST_CLOSED);
    assert_int_equal(kv_client_ping(c, NULL), ST_CLOSED); /* and again */
    kv_client_pages(c, &map, 0, 1, 1, &page);
    assert_int_equal(((uint8_t *)page)[65535], 78);

    start(&second, dir, "posix", false); /* over the dead one's socket files */
    d = enter(dir, "b");
    assert_true(kv_client_welcome(c)->epoch != kv_client_welcome(d)->epoch);
    assert_int_equal(kv_client_ping(c, NULL), ST_CLOSED); /* it belongs to the dead one */
    assert_int_equal(kv_client_acquire(d, seq.seq, false, &map, NULL), ST_NOT_FOUND);
    kv_map_release(&map);
    kv_client_close(c);
    kv_client_close(d);
    stop_and_look(&second, dir);
}

/* Role "parent": starts a store and waits to be killed. */
static _Noreturn void role_parent(const struct rundir *dir)
{
    struct proc store;

    start(&store, dir, "posix", false);
    for (;;)
        pause();
}

static void the_store_ends_when_its_parent_dies(void **state)
{
    struct rundir *dir = NULL;
    struct kv_client *c;
    struct pollfd door;
    struct proc parent, none = {.pidfd = -1};

    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    run_role(&parent, "parent", dir);
    c = enter(dir, "a");
    kill_now(&parent);
    door = (struct pollfd){.fd = kv_client_door(c), .events = POLLIN};
    assert_int_equal(poll(&door, 1, PATIENCE_MS), 1);
    assert_int_equal(kv_client_ping(c, NULL), ST_CLOSED);
    kv_client_close(c);
    /* The door closes before the process lets go of the directory: an orphan is
     * ours to wait for. */
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    stop_and_look(&none, dir);
}

static int run_as(const char *role, const char *path)
{
    struct rundir *dir = NULL;

    if (rundir_join(&dir, path, NULL) != ST_OK)
        return 1;
    if (strcmp(role, "parent") == 0)
        role_parent(dir);
    return role_hold(enter(dir, "holder"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_writes_and_another_reads_the_same_bytes),
        cmocka_unit_test(a_flipped_byte_is_named_by_layer_and_page),
        cmocka_unit_test(what_a_killed_client_held_is_free_within_a_second),
        cmocka_unit_test(a_stopped_client_holds_up_nobody_and_keeps_what_it_holds),
        cmocka_unit_test(clients_outlive_a_killed_store_and_a_new_one_takes_its_place),
        cmocka_unit_test(the_store_ends_when_its_parent_dies),
    };

    self_path = argv[0];
    if (argc == 3)
        return run_as(argv[1], argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
