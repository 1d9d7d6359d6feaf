#include "tests/test_helpers.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/door.h"

enum { PATIENCE_MS = 60000 }; /* for what comes at once on a machine that is not busy */

static char dir[] = "/tmp/test-door-XXXXXX";
static char path[64];
static int listen_fd, client_fd, server_fd;

static int open_doors(void **state)
{
    struct err err = {{0}};

    listen_fd = client_fd = server_fd = -1;
    if (door_listen(&listen_fd, path, &err) != ST_OK ||
        door_connect(&client_fd, path, PATIENCE_MS, &err) != ST_OK ||
        door_accept(listen_fd, &server_fd, &err) != ST_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int close_doors(void **state)
{
    door_close(client_fd);
    door_close(server_fd);
    door_close(listen_fd);
    return access(path, F_OK) == 0 ? -1 : 0; /* no socket file stays behind */
}

static int memfd_with(char byte)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_int_equal(write(fd, &byte, 1), 1);
    return fd;
}

static void test_bytes_and_descriptors_arrive_in_order(void **state)
{
    struct door_packet out = {.n_bytes = DOOR_MAX_BYTES, .n_fds = DOOR_MAX_FDS};
    struct door_packet in;

    for (int i = 0; i < DOOR_MAX_BYTES; i++)
        out.bytes[i] = (uint8_t)(i * 7 + 1);
    for (int i = 0; i < DOOR_MAX_FDS; i++)
        out.fd[i] = memfd_with((char)('a' + i));
    assert_int_equal(door_send(server_fd, &out, NULL), ST_OK);
    for (int i = 0; i < DOOR_MAX_FDS; i++)
        close(out.fd[i]);
    assert_int_equal(door_recv(client_fd, &in, PATIENCE_MS, NULL), ST_OK);
    assert_int_equal(in.n_bytes, DOOR_MAX_BYTES);
    assert_memory_equal(in.bytes, out.bytes, DOOR_MAX_BYTES);
    assert_int_equal(in.n_fds, DOOR_MAX_FDS);
    for (int i = 0; i < DOOR_MAX_FDS; i++) {
        char byte = 0;
        assert_int_equal(pread(in.fd[i], &byte, 1, 0), 1);
        assert_int_equal(byte, 'a' + i);
        assert_true(fcntl(in.fd[i], F_GETFD) & FD_CLOEXEC);
        close(in.fd[i]);
    }
}

static void test_packets_keep_their_borders(void **state)
{
    struct door_packet out = {.n_bytes = 1, .bytes = {1}};
    struct door_packet in;

    assert_int_equal(door_send(client_fd, &out, NULL), ST_OK);
    out.n_bytes = 2;
    assert_int_equal(door_send(client_fd, &out, NULL), ST_OK);
    assert_int_equal(door_recv(server_fd, &in, PATIENCE_MS, NULL), ST_OK);
    assert_int_equal(in.n_bytes, 1);
    assert_int_equal(in.n_fds, 0);
    assert_int_equal(door_recv(server_fd, &in, PATIENCE_MS, NULL), ST_OK);
    assert_int_equal(in.n_bytes, 2);
}

static void test_silence_is_a_timeout(void **state)
{
    struct door_packet in;
    uint64_t start = clock_now_ns();

    assert_int_equal(door_recv(server_fd, &in, 30, NULL), ST_TIMEOUT);
    assert_true(clock_seconds_since(start) >= 0.030);
    assert_int_equal(door_recv(server_fd, &in, 0, NULL), ST_TIMEOUT);
}

static void test_a_closed_door_is_seen_by_both_directions(void **state)
{
    struct door_packet packet = {.n_bytes = 1};

    door_close(client_fd);
    client_fd = -1;
    assert_int_equal(door_recv(server_fd, &packet, -1, NULL), ST_CLOSED);
    packet.n_bytes = 1;
    assert_int_equal(door_send(server_fd, &packet, NULL), ST_CLOSED);
}

static void test_a_killed_peer_is_end_of_file_at_once(void **state)
{
    struct door_packet packet = {.n_bytes = 1};
    int accepted = -1;
    pid_t pid = fork();

    if (pid == 0) {
        int fd = -1;
        if (door_connect(&fd, path, PATIENCE_MS, NULL) != ST_OK ||
            door_send(fd, &packet, NULL) != ST_OK)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(door_accept(listen_fd, &accepted, NULL), ST_OK);
    assert_int_equal(door_recv(accepted, &packet, PATIENCE_MS, NULL), ST_OK);
    kill(pid, SIGKILL);
    assert_int_equal(door_recv(accepted, &packet, PATIENCE_MS, NULL), ST_CLOSED);
    door_close(accepted);
    waitpid(pid, NULL, 0);
}

static int lowest_free_fd(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void test_an_oversized_packet_is_refused_and_its_descriptors_closed(void **state)
{
    char bytes[DOOR_MAX_BYTES + 1] = {0};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    struct door_packet in;
    int before = lowest_free_fd();

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &(int){1}, sizeof(int));
    assert_int_equal(sendmsg(client_fd, &header, 0), sizeof bytes);
    assert_int_equal(door_recv(server_fd, &in, PATIENCE_MS, NULL), ST_CORRUPT);
    assert_int_equal(lowest_free_fd(), before);
}

static void test_too_many_descriptors_are_refused_and_closed(void **state)
{
    enum { N = DOOR_MAX_FDS + 3 };
    char byte = 0;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(N * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    struct door_packet in;
    int before = lowest_free_fd();
    int fds[N];

    for (int i = 0; i < N; i++)
        fds[i] = 1;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(c), fds, sizeof fds);
    assert_int_equal(sendmsg(client_fd, &header, 0), 1);
    assert_int_equal(door_recv(server_fd, &in, PATIENCE_MS, NULL), ST_CORRUPT);
    assert_int_equal(lowest_free_fd(), before);
}

static void test_a_peer_that_never_reads_does_not_hold_up_the_sender(void **state)
{
    struct door_packet packet = {.n_bytes = DOOR_MAX_BYTES};
    uint64_t start = clock_now_ns();
    enum status st = ST_OK;

    for (int i = 0; i < 100000 && st == ST_OK; i++)
        st = door_send(server_fd, &packet, NULL);
    assert_int_equal(st, ST_TIMEOUT);
    assert_true(clock_seconds_since(start) < PATIENCE_MS / 1e3);
}

static void test_nobody_listening_is_a_timeout_that_names_the_path(void **state)
{
    struct err err = {{0}};
    char missing[80];
    int fd = -1;

    snprintf(missing, sizeof missing, "%s/missing", dir);
    assert_int_equal(door_connect(&fd, missing, 20, &err), ST_TIMEOUT);
    assert_non_null(strstr(err.text, missing));
    assert_int_equal(fd, -1);
}

static void test_a_late_listener_is_found(void **state)
{
    struct door_packet packet = {.n_bytes = 1};
    char late[80];
    int fd = -1;
    pid_t pid;

    snprintf(late, sizeof late, "%s/late", dir);
    pid = fork();
    if (pid == 0) {
        int listening = -1, peer = -1;
        clock_sleep_until(clock_now_ns() + 50 * 1000000u);
        if (door_listen(&listening, late, NULL) != ST_OK ||
            door_accept(listening, &peer, NULL) != ST_OK || door_send(peer, &packet, NULL) != ST_OK)
            _exit(1);
        door_close(listening);
        _exit(0);
    }
    assert_int_equal(door_connect(&fd, late, PATIENCE_MS, NULL), ST_OK);
    assert_int_equal(door_recv(fd, &packet, PATIENCE_MS, NULL), ST_OK);
    door_close(fd);
    waitpid(pid, NULL, 0);
    assert_int_not_equal(access(late, F_OK), 0);
}

static void test_a_path_too_long_for_a_socket_is_refused(void **state)
{
    char text[200];
    int fd = -1;

    memset(text, 'x', sizeof text - 1);
    text[0] = '/';
    text[sizeof text - 1] = '\0';
    assert_int_equal(door_listen(&fd, text, NULL), ST_INVALID);
    assert_int_equal(door_connect(&fd, text, 0, NULL), ST_INVALID);
    text[108] = '\0'; /* one more than fits with its terminator */
    assert_int_equal(door_listen(&fd, text, NULL), ST_INVALID);
}

#define WITH_DOORS(test) cmocka_unit_test_setup_teardown(test, open_doors, close_doors)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DOORS(test_bytes_and_descriptors_arrive_in_order),
        WITH_DOORS(test_packets_keep_their_borders),
        WITH_DOORS(test_silence_is_a_timeout),
        WITH_DOORS(test_a_closed_door_is_seen_by_both_directions),
        WITH_DOORS(test_a_killed_peer_is_end_of_file_at_once),
        WITH_DOORS(test_an_oversized_packet_is_refused_and_its_descriptors_closed),
        WITH_DOORS(test_too_many_descriptors_are_refused_and_closed),
        WITH_DOORS(test_a_peer_that_never_reads_does_not_hold_up_the_sender),
        WITH_DOORS(test_nobody_listening_is_a_timeout_that_names_the_path),
        WITH_DOORS(test_a_late_listener_is_found),
        cmocka_unit_test(test_a_path_too_long_for_a_socket_is_refused),
    };
    int n_failed;

    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/door", dir);
    n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return rmdir(dir) != 0 || n_failed != 0;
}
