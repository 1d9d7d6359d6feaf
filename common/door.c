#include "common/door.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/proc.h"

enum { BACKLOG = 64, RETRY_MS = 2, SEND_TIMEOUT_S = 1, NS_PER_MS = 1000000 };

/* Room for the largest set of descriptors, aligned as the kernel wants it. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(DOOR_MAX_FDS * sizeof(int))];
};

static enum status set_address(struct sockaddr_un *addr, const char *path, struct err *err)
{
    memset(addr, 0, sizeof *addr);
    addr->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof addr->sun_path)
        return err_set(err, ST_INVALID, "socket path %s is longer than %zu bytes", path,
                       sizeof addr->sun_path - 1);
    snprintf(addr->sun_path, sizeof addr->sun_path, "%s", path);
    return ST_OK;
}

static enum status new_socket(int *out_fd, struct err *err)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set(err, ST_IO, "socket: %s", strerror(errno));
    *out_fd = fd;
    return ST_OK;
}

/* A peer that does not read must not hold up the sender for ever. */
static void limit_sends(int fd)
{
    const struct timeval limit = {.tv_sec = SEND_TIMEOUT_S};

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

enum status door_listen(int *out_fd, const char *path, struct err *err)
{
    struct sockaddr_un addr;
    int fd = -1;
    enum status st = set_address(&addr, path, err);

    if (st == ST_OK)
        st = new_socket(&fd, err);
    if (st != ST_OK)
        return st;
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(fd, BACKLOG) != 0) {
        st = err_set(err, ST_IO, "listen on %s: %s", path, strerror(errno));
        close(fd);
        return st;
    }
    *out_fd = fd;
    return ST_OK;
}

enum status door_accept(int listen_fd, int *out_fd, struct err *err)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    int fd;

    do {
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return err_set(err, ST_IO, "accept: %s", strerror(errno));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid()) {
        close(fd);
        return err_set(err, ST_INVALID, "refused a peer of user %u: only user %u may come in",
                       (unsigned)peer.uid, (unsigned)geteuid());
    }
    limit_sends(fd);
    *out_fd = fd;
    return ST_OK;
}

enum status door_connect(int *out_fd, const char *path, int timeout_ms, struct err *err)
{
    uint64_t start = clock_now_ns();
    struct sockaddr_un addr;
    int fd = -1;
    enum status st = set_address(&addr, path, err);

    if (st == ST_OK)
        st = new_socket(&fd, err);
    if (st != ST_OK)
        return st;
    while (connect(fd, (struct sockaddr *)&addr, sizeof addr) != 0) {
        int failed = errno;
        bool may_come =
            failed == ENOENT || failed == ECONNREFUSED || failed == EAGAIN || failed == EINTR;
        if (!may_come || clock_seconds_since(start) * 1e3 >= timeout_ms) {
            close(fd);
            return err_set(err, may_come ? ST_TIMEOUT : ST_IO, "connect to %s: %s", path,
                           strerror(failed));
        }
        if (proc_stop_requested()) {
            close(fd);
            return err_set(err, ST_CLOSED, "stopped while connecting to %s", path);
        }
        clock_sleep_until(clock_now_ns() + (uint64_t)RETRY_MS * NS_PER_MS);
    }
    limit_sends(fd);
    *out_fd = fd;
    return ST_OK;
}

enum status door_send(int fd, const struct door_packet *packet, struct err *err)
{
    union control control = {.bytes = {0}};
    struct iovec iov = {.iov_base = (void *)packet->bytes, .iov_len = packet->n_bytes};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    /* An empty packet would read as end-of-file. */
    CHECK(packet->n_bytes > 0 && packet->n_bytes <= DOOR_MAX_BYTES);
    CHECK(packet->n_fds <= DOOR_MAX_FDS);
    if (packet->n_fds > 0) {
        size_t n_fd_bytes = packet->n_fds * sizeof(int);
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(n_fd_bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fd_bytes);
        memcpy(CMSG_DATA(c), packet->fd, n_fd_bytes);
    }
    do {
        n = sendmsg(fd, &header, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return ST_OK;
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
        return err_set(err, ST_CLOSED, "the peer closed the door");
    if (errno == EAGAIN)
        return err_set(err, ST_TIMEOUT, "the peer has read nothing for %d s", SEND_TIMEOUT_S);
    return err_set(err, ST_IO, "sendmsg: %s", strerror(errno));
}

/* Takes the descriptors out of a received header. */
static void collect_fds(struct msghdr *header, struct door_packet *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (out->n_fds < DOOR_MAX_FDS)
                out->fd[out->n_fds++] = fd;
            else
                close(fd);
        }
    }
}

static enum status wait_readable(int fd, int timeout_ms, struct err *err)
{
    uint64_t deadline = clock_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * NS_PER_MS;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    int rc;

    do {
        uint64_t now = clock_now_ns();
        int left_ms = now < deadline ? (int)((deadline - now) / NS_PER_MS) + 1 : 0;
        rc = poll(&readable, 1, timeout_ms < 0 ? -1 : left_ms);
    } while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return err_set(err, ST_TIMEOUT, "nothing came through the door in %d ms", timeout_ms);
    return rc < 0 ? err_set(err, ST_IO, "poll: %s", strerror(errno)) : ST_OK;
}

static enum status receive(int fd, struct door_packet *got, struct err *err)
{
    union control control = {.bytes = {0}};
    struct iovec iov = {.iov_base = got->bytes, .iov_len = sizeof got->bytes};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    ssize_t n;

    do {
        n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return err_set(err, ST_CLOSED, "the peer closed the door");
    if (n < 0)
        return err_set(err, ST_IO, "recvmsg: %s", strerror(errno));
    got->n_bytes = (uint32_t)n;
    collect_fds(&header, got);
    if (header.msg_flags & MSG_TRUNC)
        return err_set(err, ST_CORRUPT, "a packet of more than %d bytes", DOOR_MAX_BYTES);
    if (header.msg_flags & MSG_CTRUNC)
        return err_set(err, ST_CORRUPT, "a packet with more than %d descriptors", DOOR_MAX_FDS);
    return ST_OK;
}

enum status door_recv(int fd, struct door_packet *out, int timeout_ms, struct err *err)
{
    struct door_packet got = {0};
    enum status st = wait_readable(fd, timeout_ms, err);

    if (st == ST_OK)
        st = receive(fd, &got, err);
    if (st != ST_OK) {
        for (uint32_t i = 0; i < got.n_fds; i++)
            close(got.fd[i]);
        return st;
    }
    *out = got;
    return ST_OK;
}

/* Removes the socket file if `fd` listens. */
static void unlink_listener(int fd)
{
    struct sockaddr_un addr = {0};
    socklen_t size = sizeof addr - 1; /* the last byte stays a terminator */
    int listens = 0;
    socklen_t n = sizeof listens;
    struct stat file;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) != 0 || !listens)
        return;
    if (getsockname(fd, (struct sockaddr *)&addr, &size) != 0 || addr.sun_path[0] != '/')
        return;
    if (lstat(addr.sun_path, &file) == 0 && S_ISSOCK(file.st_mode))
        unlink(addr.sun_path);
}

void door_close(int fd)
{
    if (fd < 0)
        return;
    unlink_listener(fd);
    close(fd);
}
