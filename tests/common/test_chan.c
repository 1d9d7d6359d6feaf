#include "tests/test_helpers.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <zmq.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/mem.h"

static char dir[] = "/tmp/test-chan-XXXXXX";
static char path[64];
/* For what comes at once on a machine that is not busy. */
static const struct chan_wait patient = {.timeout_ms = 60000, .wake_fd = {-1, -1, -1, -1}};
static const struct chan_wait moment = {.timeout_ms = 30, .wake_fd = {-1, -1, -1, -1}};
static char peer[CHAN_MAX_NAME];
static struct err err;

static struct chan *open_chan(enum chan_role role, const char *name)
{
    struct chan *chan = NULL;

    if (chan_open(&chan, role, path, name, &err) != ST_OK)
        fail_msg("%s", err.text);
    return chan;
}

static void send_ping(struct chan *chan, const char *to, uint64_t request)
{
    const struct msg ping = {.verb = MSG_PING, .request = request};

    if (chan_send(chan, to, &ping, &err) != ST_OK)
        fail_msg("%s", err.text);
}

static uint64_t recv_ping(struct chan *chan)
{
    struct msg msg;

    if (chan_recv(chan, peer, &msg, &patient, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(msg.verb, MSG_PING);
    return msg.request;
}

static void test_a_request_and_its_answer_find_their_peers(void **state)
{
    struct chan *server = open_chan(CHAN_SERVER, NULL);
    struct chan *a = open_chan(CHAN_CLIENT, "client-a");
    struct chan *b = open_chan(CHAN_CLIENT, "client-b");
    struct msg msg;

    send_ping(b, NULL, 2);
    assert_int_equal(recv_ping(server), 2);
    assert_string_equal(peer, "client-b");
    send_ping(a, NULL, 1);
    assert_int_equal(recv_ping(server), 1);
    assert_string_equal(peer, "client-a");
    send_ping(server, "client-b", 22);
    send_ping(server, "client-a", 11);
    assert_int_equal(recv_ping(a), 11);
    assert_int_equal(recv_ping(b), 22);
    assert_int_equal(chan_recv(a, NULL, &msg, &moment, &err), ST_TIMEOUT);
    assert_int_equal(chan_counts(server).n_sent, 2);
    assert_int_equal(chan_counts(server).n_received, 2);
    assert_int_equal(chan_counts(server).bytes_sent, 2 * (MSG_HEADER_BYTES + 1));
    assert_int_equal(chan_counts(a).bytes_received, MSG_HEADER_BYTES + 1);
    chan_close(a);
    chan_close(b);
    chan_close(server);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void test_a_pair_carries_the_longest_prompt(void **state)
{
    struct chan *one = open_chan(CHAN_PAIR_BIND, NULL);
    struct chan *two = open_chan(CHAN_PAIR_CONNECT, NULL);
    struct msg in = {.verb = MSG_PREFILL}, out;

    in.prefill.n_tokens = MSG_MAX_TOKENS;
    in.prefill.token = mem_array(MSG_MAX_TOKENS, sizeof(int32_t));
    for (int i = 0; i < MSG_MAX_TOKENS; i++)
        in.prefill.token[i] = i * 3 - 1;
    assert_int_equal(chan_send(two, NULL, &in, &err), ST_OK);
    assert_int_equal(chan_recv(one, peer, &out, &patient, &err), ST_OK);
    assert_string_equal(peer, "");
    assert_int_equal(out.prefill.n_tokens, MSG_MAX_TOKENS);
    assert_memory_equal(in.prefill.token, out.prefill.token, MSG_MAX_TOKENS * sizeof(int32_t));
    msg_release(&out);
    msg_release(&in);
    send_ping(one, NULL, 7);
    assert_int_equal(recv_ping(two), 7);
    chan_close(two);
    chan_close(one);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void test_a_client_may_come_before_its_server(void **state)
{
    struct chan *client = open_chan(CHAN_CLIENT, "early");
    struct chan *server;

    send_ping(client, NULL, 3);
    clock_sleep_until(clock_now_ns() + 30 * 1000000u);
    server = open_chan(CHAN_SERVER, NULL);
    assert_int_equal(recv_ping(server), 3);
    assert_string_equal(peer, "early");
    chan_close(client);
    chan_close(server);
}

static void test_sending_to_a_peer_that_is_not_there_is_closed(void **state)
{
    struct chan *server = open_chan(CHAN_SERVER, NULL);
    const struct msg ping = {.verb = MSG_PING};

    assert_int_equal(chan_send(server, "nobody", &ping, &err), ST_CLOSED);
    assert_non_null(strstr(err.text, "PING to nobody"));
    chan_close(server);
}

static void
test_a_peer_that_reads_nothing_is_closed_after_a_second_and_nothing_is_lost(void **state)
{
    struct chan *server = open_chan(CHAN_SERVER, NULL);
    struct chan *client = open_chan(CHAN_CLIENT, "deaf");
    struct msg big = {.verb = MSG_PREFILL}, msg;
    uint64_t start, n_sent, n_received = 0;
    enum status st = ST_OK;

    big.prefill.n_tokens = 10000;
    big.prefill.token = mem_array(10000, sizeof(int32_t));
    send_ping(client, NULL, 1);
    recv_ping(server);
    while (st == ST_OK) {
        start = clock_now_ns();
        st = chan_send(server, "deaf", &big, &err);
    }
    assert_int_equal(st, ST_CLOSED);
    assert_true(clock_seconds_since(start) >= 0.9);
    n_sent = chan_counts(server).n_sent;
    while (chan_recv(client, NULL, &msg, n_received < n_sent ? &patient : &moment, &err) == ST_OK) {
        n_received++;
        msg_release(&msg);
    }
    assert_int_equal(n_received, n_sent);
    msg_release(&big);
    chan_close(client);
    chan_close(server);
}

/* A peer that speaks ZeroMQ, but not our messages. */
static void *open_raw(void *context, const char *name)
{
    void *raw = zmq_socket(context, ZMQ_DEALER);
    char address[80];

    snprintf(address, sizeof address, "ipc://%s", path);
    zmq_setsockopt(raw, ZMQ_LINGER, &(int){0}, sizeof(int));
    if (name != NULL)
        zmq_setsockopt(raw, ZMQ_ROUTING_ID, name, strlen(name));
    assert_int_equal(zmq_connect(raw, address), 0);
    return raw;
}

static void expect(struct chan *server, enum status expected, const char *name, const char *words)
{
    struct msg msg;

    assert_int_equal(chan_recv(server, peer, &msg, &patient, &err), expected);
    if (strstr(err.text, words) == NULL)
        fail_msg("'%s' without '%s'", err.text, words);
    assert_string_equal(peer, name);
}

static void test_bad_messages_are_told_with_their_sender_and_the_channel_goes_on(void **state)
{
    struct chan *server = open_chan(CHAN_SERVER, NULL);
    struct chan *client = open_chan(CHAN_CLIENT, "good");
    void *context = zmq_ctx_new();
    void *bad = open_raw(context, "bad"), *unnamed = open_raw(context, NULL);
    const struct msg ping = {.verb = MSG_PING};
    uint8_t *bytes;
    size_t n_bytes;
    char *huge = mem_zalloc(2 * MSG_MAX_BYTES);

    assert_int_equal(msg_pack(&ping, &bytes, &n_bytes, &err), ST_OK);
    zmq_send(bad, "garbage", 7, 0);
    expect(server, ST_CORRUPT, "bad", "from bad: a message of 7 bytes");
    zmq_send(bad, "", 0, 0);
    expect(server, ST_CORRUPT, "bad", "from bad");
    zmq_send(bad, bytes, n_bytes, ZMQ_SNDMORE);
    zmq_send(bad, "more", 4, ZMQ_SNDMORE);
    zmq_send(bad, "", 0, 0);
    expect(server, ST_CORRUPT, "bad", "several frames");
    bytes[4]++;
    zmq_send(bad, bytes, n_bytes, 0);
    expect(server, ST_VERSION, "bad", "a message of version");
    bytes[4]--;
    zmq_send(unnamed, bytes, n_bytes, 0);
    assert_int_equal(chan_recv(server, peer, &(struct msg){0}, &patient, &err), ST_CORRUPT);
    assert_non_null(strstr(err.text, "no proper name"));
    zmq_send(bad, huge, 2 * MSG_MAX_BYTES, 0); /* ends that connection, no other */
    send_ping(client, NULL, 9);
    assert_int_equal(recv_ping(server), 9);
    assert_string_equal(peer, "good");
    send_ping(server, "good", 10);
    assert_int_equal(recv_ping(client), 10);
    free(huge);
    free(bytes);
    zmq_close(bad);
    zmq_close(unnamed);
    zmq_ctx_term(context);
    chan_close(client);
    chan_close(server);
}

static void test_a_descriptor_wakes_the_wait_but_a_message_goes_first(void **state)
{
    struct chan *server = open_chan(CHAN_SERVER, NULL);
    struct chan *client = open_chan(CHAN_CLIENT, "c");
    struct chan_wait wait = patient;
    struct msg msg;
    uint64_t start = clock_now_ns();

    wait.wake_fd[2] = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(chan_recv(server, peer, &msg, &wait, &err), ST_CLOSED);
    assert_true(clock_seconds_since(start) < 59.0);
    send_ping(client, NULL, 5);
    wait.spin_us = 60000000; /* until it is there; the descriptor is readable all along */
    assert_int_equal(chan_recv(server, peer, &msg, &wait, &err), ST_OK);
    assert_int_equal(msg.request, 5);
    close(wait.wake_fd[2]);
    chan_close(client);
    chan_close(server);
}

static void test_another_channels_descriptor_wakes_the_wait(void **state)
{
    struct chan *server = open_chan(CHAN_SERVER, NULL);
    char own[64];
    struct chan *one = NULL, *two = NULL;
    struct chan_wait wait = patient;
    struct chan_wait none = {.wake_fd = {-1, -1, -1, -1}};
    struct msg msg;
    enum status st = ST_TIMEOUT;

    snprintf(own, sizeof own, "%s/pair", dir);
    assert_int_equal(chan_open(&one, CHAN_PAIR_BIND, own, NULL, &err), ST_OK);
    assert_int_equal(chan_open(&two, CHAN_PAIR_CONNECT, own, NULL, &err), ST_OK);
    send_ping(two, NULL, 4);
    wait.wake_fd[0] = chan_fd(one);
    /* Connecting wakes too, so there may be several wakes before the message. */
    for (int i = 0; i < 100 && st == ST_TIMEOUT; i++) {
        st = chan_recv(one, NULL, &msg, &none, &err);
        if (st == ST_TIMEOUT)
            assert_int_equal(chan_recv(server, peer, &msg, &wait, &err), ST_CLOSED);
    }
    assert_int_equal(st, ST_OK);
    assert_int_equal(msg.request, 4);
    chan_close(two);
    chan_close(one);
    chan_close(server);
}

static void test_silence_is_a_timeout_with_and_without_spinning(void **state)
{
    struct chan *server = open_chan(CHAN_SERVER, NULL);
    struct chan_wait spinning = {
        .timeout_ms = 10, .spin_us = 60000000, .wake_fd = {-1, -1, -1, -1}};
    struct msg msg;
    uint64_t start = clock_now_ns();

    assert_int_equal(chan_recv(server, peer, &msg, &moment, &err), ST_TIMEOUT);
    assert_true(clock_seconds_since(start) >= 0.030);
    start = clock_now_ns();
    assert_int_equal(chan_recv(server, peer, &msg, &spinning, &err), ST_TIMEOUT);
    assert_true(clock_seconds_since(start) >= 0.010);
    assert_true(clock_seconds_since(start) < 59.0); /* the wait ends the spin */
    chan_close(server);
}

static void on_signal(int number)
{
}

static void test_a_signal_does_not_end_a_wait(void **state)
{
    struct chan *server = open_chan(CHAN_SERVER, NULL);
    struct sigaction action = {.sa_handler = on_signal};
    struct chan_wait wait = {.timeout_ms = 200, .wake_fd = {-1, -1, -1, -1}};
    uint64_t start = clock_now_ns();
    pid_t parent = getpid(), child;
    struct msg msg;

    sigaction(SIGUSR1, &action, NULL);
    child = fork();
    if (child == 0) {
        for (int i = 0; i < 5; i++) {
            clock_sleep_until(clock_now_ns() + 20 * 1000000u);
            kill(parent, SIGUSR1);
        }
        _exit(0);
    }
    assert_int_equal(chan_recv(server, peer, &msg, &wait, &err), ST_TIMEOUT);
    assert_true(clock_seconds_since(start) >= 0.2);
    waitpid(child, NULL, 0);
    chan_close(server);
}

/* In a child; ends by SIGKILL after its first message. */
static void be_killed_client(uint64_t request)
{
    struct chan *client = NULL;
    const struct msg ping = {.verb = MSG_PING, .request = request};

    if (chan_open(&client, CHAN_CLIENT, path, "worker", NULL) != ST_OK ||
        chan_send(client, NULL, &ping, NULL) != ST_OK)
        _exit(1);
    for (;;)
        pause();
}

static void test_a_restarted_peer_takes_its_name_over(void **state)
{
    struct chan *server;
    pid_t pid[2];
    int status;

    /* Both start before this process has ZeroMQ threads of its own. */
    for (uint64_t i = 0; i < 2; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            if (i == 1)
                raise(SIGSTOP);
            be_killed_client(i + 1);
        }
    }
    server = open_chan(CHAN_SERVER, NULL);
    assert_int_equal(recv_ping(server), 1);
    kill(pid[0], SIGKILL);
    waitpid(pid[0], NULL, 0);
    waitpid(pid[1], &status, WUNTRACED);
    kill(pid[1], SIGCONT);
    assert_int_equal(recv_ping(server), 2);
    assert_string_equal(peer, "worker");
    send_ping(server, "worker", 3);
    kill(pid[1], SIGKILL);
    waitpid(pid[1], NULL, 0);
    chan_close(server);
}

static void test_wrong_paths_and_names_are_refused(void **state)
{
    struct chan *chan = NULL;
    char text[200];

    memset(text, 'x', sizeof text - 1);
    text[0] = '/';
    text[108] = '\0';
    assert_int_equal(chan_open(&chan, CHAN_SERVER, text, NULL, &err), ST_INVALID);
    assert_int_equal(chan_open(&chan, CHAN_SERVER, "@abstract", NULL, &err), ST_INVALID);
    assert_int_equal(chan_open(&chan, CHAN_CLIENT, path, NULL, &err), ST_INVALID);
    assert_int_equal(chan_open(&chan, CHAN_CLIENT, path, "", &err), ST_INVALID);
    assert_int_equal(chan_open(&chan, CHAN_CLIENT, path, "a b", &err), ST_INVALID);
    text[CHAN_MAX_NAME + 1] = '\0';
    assert_int_equal(chan_open(&chan, CHAN_CLIENT, path, text + 1, &err), ST_INVALID);
    assert_int_equal(chan_open(&chan, CHAN_SERVER, "/nonexistent/dir/x", NULL, &err), ST_IO);
    assert_non_null(strstr(err.text, "/nonexistent/dir/x"));
    assert_null(chan);
    chan_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_restarted_peer_takes_its_name_over),
        cmocka_unit_test(test_a_request_and_its_answer_find_their_peers),
        cmocka_unit_test(test_a_pair_carries_the_longest_prompt),
        cmocka_unit_test(test_a_client_may_come_before_its_server),
        cmocka_unit_test(test_sending_to_a_peer_that_is_not_there_is_closed),
        cmocka_unit_test(
            test_a_peer_that_reads_nothing_is_closed_after_a_second_and_nothing_is_lost),
        cmocka_unit_test(test_bad_messages_are_told_with_their_sender_and_the_channel_goes_on),
        cmocka_unit_test(test_a_descriptor_wakes_the_wait_but_a_message_goes_first),
        cmocka_unit_test(test_another_channels_descriptor_wakes_the_wait),
        cmocka_unit_test(test_silence_is_a_timeout_with_and_without_spinning),
        cmocka_unit_test(test_a_signal_does_not_end_a_wait),
        cmocka_unit_test(test_wrong_paths_and_names_are_refused),
    };
    int n_failed;

    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/socket", dir);
    n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return rmdir(dir) != 0 || n_failed != 0;
}
