/*
 * The store's process from outside: flags, control channel, rubbish, its end.
 */
#include "tests/kvstore/process_fixture.h"

#include <zmq.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/door.h"

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
    const struct chan_wait wait = {.timeout_ms = PATIENCE_MS, .wake_fd = {-1, -1, -1, -1}};

    return chan_recv(control, peer, out, &wait, NULL);
}

static void the_orchestrator_hears_ready_and_ends_the_store(void **state)
{
    static const struct {
        enum msg_verb ask, answer;
    } talk[] = {{MSG_PING, MSG_DONE},
                {MSG_STATS, MSG_STATS_REPLY},
                {MSG_HELLO, MSG_WELCOME},
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
    assert_int_equal(kv_client_create(c, &plain_seq, &seq, NULL), ST_CLOSED); /* it drains */
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
        assert_int_equal(door_connect(&door, path, PATIENCE_MS, &err), ST_OK);
        if (i % 2) /* which may find it closed: the store refuses many doors at once */
            (void)door_send(door, &packet, &err);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_store_in_a_run_directory_is_refused),
        cmocka_unit_test(the_orchestrator_hears_ready_and_ends_the_store),
        cmocka_unit_test(an_idle_store_sleeps_and_sigterm_ends_it),
        cmocka_unit_test(rubbish_on_either_socket_does_not_end_the_store),
        cmocka_unit_test(wrong_flags_and_impossible_arenas_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
