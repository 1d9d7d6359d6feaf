#include "tests/test_helpers.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zmq.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/door.h"
#include "common/proc.h"
#include "common/rundir.h"
#include "kvstore/kv_client.h"

#define STORE_PATH TEST_BUILD_DIR "/bin/mspeckv-kvstore"
#define LOG_PATH   TEST_BUILD_DIR "/kvstore_process.log"

static const struct msg_create_seq plain = {.n_layers = 2, .page_bytes = 65536, .format = 1};
static const char *self_path;

/* ---- helpers ---- */

static void start(struct proc *p, const struct rundir *dir, const char *kind, bool control)
{
    char *argv[] = {(char *)STORE_PATH,
                    (char *)"--run-dir",
                    (char *)rundir_path(dir),
                    (char *)"--arena-bytes",
                    (char *)"33554432",
                    (char *)"--arena",
                    (char *)kind,
                    control ? (char *)"--control" : NULL,
                    NULL};
    struct err err = {{0}};

    if (proc_spawn(p, "kvstore", argv, LOG_PATH, &err) != ST_OK)
        fail_msg("%s", err.text);
}

static struct kv_client *enter(const struct rundir *dir, const char *name)
{
    struct kv_client *c = NULL;
    struct err err = {{0}};

    if (kv_client_open(&c, dir, name, &err) != ST_OK)
        fail_msg("%s", err.text);
    return c;
}

static void run_role(struct proc *p, const char *role, const struct rundir *dir)
{
    char *argv[] = {(char *)self_path, (char *)role, (char *)rundir_path(dir), NULL};

    assert_int_equal(proc_spawn(p, role, argv, LOG_PATH, NULL), ST_OK);
}

static void kill_now(struct proc *p)
{
    assert_int_equal(kill(p->pid, SIGKILL), 0);
    proc_stop(p, 1000);
}

/* Waits up to 10 s and says how it ended. */
static void wait_end(struct proc *p, char how[64])
{
    struct pollfd end = {.fd = p->pidfd, .events = POLLIN};

    assert_int_equal(poll(&end, 1, 10000), 1);
    assert_true(proc_has_ended(p, how, 64));
}

static void fill(struct kv_client *c, uint64_t seq, uint32_t n, int value)
{
    struct msg_page_map map = {0};
    void *page[64];

    assert_int_equal(kv_client_reserve(c, seq, n, &map, NULL), ST_OK);
    for (uint32_t layer = map.first_layer; layer < map.n_layers; layer++) {
        kv_client_pages(c, &map, layer, map.n_pages, n, page);
        for (uint32_t i = 0; i < n; i++)
            memset(page[i], value + (int)(layer * 16 + i), map.page_bytes);
    }
    assert_int_equal(kv_client_commit(c, &map, false, NULL), ST_OK);
    kv_map_release(&map);
}

/* The stop is orderly, nothing of ours is left behind. */
static void stop_and_look(struct proc *p, struct rundir *dir)
{
    char path[128];
    struct stat st;
    struct dirent *entry;
    DIR *shm;

    proc_stop(p, 5000);
    snprintf(path, sizeof path, "%s", rundir_path(dir));
    rundir_leave(dir);
    assert_int_not_equal(stat(path, &st), 0);
    shm = opendir("/dev/shm");
    while (shm && (entry = readdir(shm)))
        assert_int_not_equal(strncmp(entry->d_name, "mspeckv", 7), 0);
    if (shm)
        closedir(shm);
}

/* ---- cases ---- */

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
        assert_int_equal(kv_client_create(a, &plain, &seq, NULL), ST_OK);
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
    assert_int_equal(kv_client_create(c, &plain, &seq, NULL), ST_OK);
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
    struct msg_create_seq kept = plain;
    struct msg_page_map map = {0}, lease = {0};
    struct msg_seq own, snapshot;

    kept.keep = true;
    if (kv_client_create(c, &kept, &snapshot, NULL) != ST_OK ||
        kv_client_create(c, &plain, &own, NULL) != ST_OK)
        return 1;
    fill(c, snapshot.seq, 3, 1);
    fill(c, own.seq, 3, 1);
    if (kv_client_acquire(c, own.seq, false, &lease, NULL) != ST_OK ||
        kv_client_reserve(c, own.seq, 40, &map, NULL) != ST_OK)
        return 1;
    for (;;)
        pause();
}

static void what_a_killed_client_held_is_free_within_a_second(void **state)
{
    struct rundir *dir = NULL;
    struct msg_stats stats = {0};
    struct proc store, holder;
    struct kv_client *c;
    uint64_t killed;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    start(&store, dir, "posix", false);
    c = enter(dir, "watcher");
    run_role(&holder, "hold", dir);
    for (int i = 0; i < 1000 && stats.n_reservations == 0; i++) {
        clock_sleep_until(clock_now_ns() + 10000000);
        assert_int_equal(kv_client_stats(c, &stats, NULL), ST_OK);
    }
    assert_int_equal(stats.n_reservations, 1);
    assert_int_equal(stats.n_leases, 1);
    assert_int_equal(stats.n_seqs, 2);
    assert_true(stats.reserved_bytes > 0);
    assert_int_equal(kill(holder.pid, SIGKILL), 0);
    killed = clock_now_ns();
    while (stats.n_reaped_clients == 0 && clock_seconds_since(killed) < 5)
        assert_int_equal(kv_client_stats(c, &stats, NULL), ST_OK);
    print_message("reclaimed %.1f ms after the kill\n", clock_seconds_since(killed) * 1e3);
    assert_true(clock_seconds_since(killed) < 1);
    assert_int_equal(stats.n_reservations, 0);
    assert_int_equal(stats.n_leases, 0);
    assert_int_equal(stats.n_seqs, 1); /* the snapshot */
    assert_int_equal(stats.reserved_bytes, 0);
    assert_int_equal(stats.used_bytes, 2 * (2 << 20));
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
    uint64_t killed;
    void *page;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    start(&store, dir, "posix", false);
    c = enter(dir, "a");
    assert_int_equal(kv_client_create(c, &plain, &seq, NULL), ST_OK);
    fill(c, seq.seq, 2, 77);
    assert_int_equal(kv_client_acquire(c, seq.seq, false, &map, NULL), ST_OK);
    kill_now(&store);
    killed = clock_now_ns();
    assert_int_equal(kv_client_ping(c, NULL), ST_CLOSED);
    assert_true(clock_seconds_since(killed) < 1);
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

static void a_second_store_in_a_run_directory_is_refused(void **state)
{
    struct rundir *dir = NULL;
    struct proc store, second;
    struct kv_client *c;
    char how[64];

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    start(&store, dir, "posix", false);
    c = enter(dir, "a");
    start(&second, dir, "posix", false);
    wait_end(&second, how);
    assert_string_equal(how, "exit status 1");
    assert_int_equal(kv_client_ping(c, NULL), ST_OK);
    kv_client_close(c);
    c = enter(dir, "b"); /* its sockets are still there */
    kv_client_close(c);
    stop_and_look(&store, dir);
}

static enum status control_recv(struct chan *control, char peer[CHAN_MAX_NAME], struct msg *out)
{
    const struct chan_wait wait = {.timeout_ms = 10000, .wake_fd = {-1, -1, -1, -1}};

    return chan_recv(control, peer, out, &wait, NULL);
}

static void the_orchestrator_hears_ready_and_ends_the_store(void **state)
{
    static const struct {
        enum msg_verb ask, answer;
    } talk[] = {{MSG_PING, MSG_DONE},
                {MSG_STATS, MSG_STATS_REPLY},
                {MSG_RESERVE, MSG_ERROR},
                {MSG_DRAIN, MSG_DONE}};
    struct rundir *dir = NULL;
    struct chan *control = NULL;
    struct kv_client *c;
    struct msg_seq seq;
    char path[108], peer[CHAN_MAX_NAME], how[64];
    struct msg msg = {0};
    struct proc store;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    rundir_socket(dir, "control", path);
    assert_int_equal(chan_open(&control, CHAN_SERVER, path, NULL, NULL), ST_OK);
    start(&store, dir, "memfd", true);
    assert_int_equal(control_recv(control, peer, &msg), ST_OK);
    assert_int_equal(msg.verb, MSG_READY);
    assert_string_equal(peer, "kvstore");
    assert_string_equal(msg.ready.name, "kvstore");
    assert_string_equal(msg.ready.device, "memfd");
    c = enter(dir, "a");
    for (size_t i = 0; i < sizeof talk / sizeof *talk; i++) {
        struct msg ask = {.verb = talk[i].ask, .request = 10 + i};
        assert_int_equal(chan_send(control, "kvstore", &ask, NULL), ST_OK);
        assert_int_equal(control_recv(control, peer, &msg), ST_OK);
        assert_int_equal(msg.verb, talk[i].answer);
        assert_int_equal(msg.request, 10 + i);
    }
    assert_int_equal(kv_client_create(c, &plain, &seq, NULL), ST_CLOSED); /* it drains */
    assert_int_equal(kv_client_ping(c, NULL), ST_OK);
    msg = (struct msg){.verb = MSG_QUIT, .request = 99};
    assert_int_equal(chan_send(control, "kvstore", &msg, NULL), ST_OK);
    wait_end(&store, how);
    assert_string_equal(how, "exit status 0");
    assert_int_equal(kv_client_ping(c, NULL), ST_CLOSED);
    kv_client_close(c);
    chan_close(control);
    stop_and_look(&store, dir);
}

/* Ticks of CPU time that a process has used. */
static unsigned long cpu_ticks(pid_t pid)
{
    unsigned long user = 0, system = 0;
    char path[64];
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(
        fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
        2);
    fclose(f);
    return user + system;
}

static void an_idle_store_sleeps_and_sigterm_ends_it(void **state)
{
    struct rundir *dir = NULL;
    struct kv_client *c;
    struct proc store;
    char how[64];
    unsigned long before;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    start(&store, dir, "posix", false);
    c = enter(dir, "a");
    before = cpu_ticks(store.pid);
    clock_sleep_until(clock_now_ns() + 1500000000);
    assert_true(cpu_ticks(store.pid) - before <= 2); /* of 150 */
    assert_int_equal(kv_client_ping(c, NULL), ST_OK);
    assert_int_equal(kill(store.pid, SIGTERM), 0);
    wait_end(&store, how);
    assert_string_equal(how, "exit status 0");
    kv_client_close(c);
    stop_and_look(&store, dir);
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

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    run_role(&parent, "parent", dir);
    c = enter(dir, "a");
    kill_now(&parent);
    door = (struct pollfd){.fd = kv_client_door(c), .events = POLLIN};
    assert_int_equal(poll(&door, 1, 2000), 1);
    assert_int_equal(kv_client_ping(c, NULL), ST_CLOSED);
    kv_client_close(c);
    /* The door closes before the process lets go of the directory. */
    clock_sleep_until(clock_now_ns() + 300000000);
    stop_and_look(&none, dir);
}

static void send_raw(void *socket, const void *bytes, size_t n, int flags)
{
    assert_int_equal(zmq_send(socket, bytes, n, flags), (int)n);
}

static void rubbish_on_either_socket_does_not_end_the_store(void **state)
{
    static const char junk[300] = "MSKV and then nothing that makes sense";
    struct door_packet packet = {.n_bytes = 5, .bytes = "junk"};
    struct rundir *dir = NULL;
    struct kv_client *c;
    struct proc store;
    char path[108], address[128];
    struct err err = {{0}};
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
    int zero = 0, door = -1;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    start(&store, dir, "posix", false);
    c = enter(dir, "a");
    rundir_socket(dir, "store", path);
    snprintf(address, sizeof address, "ipc://%s", path);
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    assert_int_equal(zmq_connect(socket, address), 0);
    for (size_t n = 0; n < sizeof junk; n += 13)
        send_raw(socket, junk, n, n % 2 ? ZMQ_SNDMORE : 0);
    send_raw(socket, junk, 1, 0);
    rundir_socket(dir, "door", path);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(door_connect(&door, path, 1000, &err), ST_OK);
        if (i % 2)
            assert_int_equal(door_send(door, &packet, &err), ST_OK);
        door_close(door);
    }
    assert_int_equal(kv_client_ping(c, &err), ST_OK);
    zmq_close(socket);
    zmq_ctx_term(context);
    kv_client_close(c);
    stop_and_look(&store, dir);
}

static void wrong_flags_and_impossible_arenas_are_refused(void **state)
{
    struct rundir *dir = NULL;
    char how[64];

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    char *path = (char *)rundir_path(dir);
    char *const bad[][8] = {
        {(char *)STORE_PATH, (char *)"--arena-bytes", (char *)"4096", NULL},
        {(char *)STORE_PATH, (char *)"--run-dir", path, NULL},
        {(char *)STORE_PATH, (char *)"--run-dir", path, (char *)"--arena-bytes", (char *)"0", NULL},
        {(char *)STORE_PATH, (char *)"--run-dir", path, (char *)"--arena-bytes",
         (char *)"1000000000000000", NULL},
        {(char *)STORE_PATH, (char *)"--run-dir", (char *)"/nonexistent", (char *)"--arena-bytes",
         (char *)"4096", NULL},
        {(char *)STORE_PATH, (char *)"--help", NULL},
    };
    static const char *const ends[] = {"exit status 2", "exit status 2", "exit status 2",
                                       "exit status 1", "exit status 1", "exit status 0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct proc p;
        assert_int_equal(proc_spawn(&p, "kvstore", bad[i], LOG_PATH, NULL), ST_OK);
        wait_end(&p, how);
        assert_string_equal(how, ends[i]);
    }
    rundir_leave(dir);
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
        cmocka_unit_test(clients_outlive_a_killed_store_and_a_new_one_takes_its_place),
        cmocka_unit_test(a_second_store_in_a_run_directory_is_refused),
        cmocka_unit_test(the_orchestrator_hears_ready_and_ends_the_store),
        cmocka_unit_test(an_idle_store_sleeps_and_sigterm_ends_it),
        cmocka_unit_test(the_store_ends_when_its_parent_dies),
        cmocka_unit_test(rubbish_on_either_socket_does_not_end_the_store),
        cmocka_unit_test(wrong_flags_and_impossible_arenas_are_refused),
    };

    self_path = argv[0];
    if (argc == 3)
        return run_as(argv[1], argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
