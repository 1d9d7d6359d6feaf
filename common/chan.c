#include "common/chan.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/trace_message.h"

/* A queue this long means a peer that no longer reads. */
enum { HIGH_WATER = 1024, SEND_TIMEOUT_MS = 1000, LINGER_MS = 1000, RECONNECT_MS = 10 };
enum { SOCKET_PATH_SIZE = 108, N_WAKE_FDS = 4, NS_PER_US = 1000, NS_PER_MS = 1000000 };

struct chan {
    enum chan_role role;
    void *context;
    void *socket;
    bool bound;
    char path[SOCKET_PATH_SIZE];
    char name[CHAN_MAX_NAME]; /* of a client; else empty */
    struct chan_counts counts;
};

static bool binds(enum chan_role role)
{
    return role == CHAN_SERVER || role == CHAN_PAIR_BIND;
}

static int socket_type(enum chan_role role)
{
    if (role == CHAN_SERVER)
        return ZMQ_ROUTER;
    return role == CHAN_CLIENT ? ZMQ_DEALER : ZMQ_PAIR;
}

static bool is_name(const char *name)
{
    size_t n = name != NULL ? strlen(name) : 0;

    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("._-", name[i]) == NULL)
            return false;
    }
    return n > 0 && n < CHAN_MAX_NAME;
}

/* ZeroMQ gives no error that a caller could cause here: a refused option is a
 * mistake of ours. */
static void set_int(void *socket, int option, int value)
{
    CHECK(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

static void set_options(struct chan *chan, const char *name)
{
    const int64_t max_bytes = MSG_MAX_BYTES;

    /* What a client says last, such as why it ends, goes out if anybody listens. */
    set_int(chan->socket, ZMQ_LINGER, chan->role == CHAN_CLIENT ? LINGER_MS : 0);
    set_int(chan->socket, ZMQ_SNDHWM, HIGH_WATER);
    set_int(chan->socket, ZMQ_RCVHWM, HIGH_WATER);
    set_int(chan->socket, ZMQ_SNDTIMEO, SEND_TIMEOUT_MS);
    CHECK(zmq_setsockopt(chan->socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0);
    if (chan->role == CHAN_SERVER) {
        set_int(chan->socket, ZMQ_ROUTER_MANDATORY, 1);
        /* A peer that was restarted takes its name over from its dead self. */
        set_int(chan->socket, ZMQ_ROUTER_HANDOVER, 1);
    }
    if (!binds(chan->role))
        set_int(chan->socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    if (chan->role == CHAN_CLIENT)
        CHECK(zmq_setsockopt(chan->socket, ZMQ_ROUTING_ID, name, strlen(name)) == 0);
}

static enum status attach(struct chan *chan, const char *name, struct err *err)
{
    char address[SOCKET_PATH_SIZE + sizeof "ipc://"];
    int rc;

    chan->context = zmq_ctx_new();
    chan->socket =
        chan->context != NULL ? zmq_socket(chan->context, socket_type(chan->role)) : NULL;
    if (chan->socket == NULL)
        return err_set(err, ST_IO, "new socket for %s: %s", chan->path, zmq_strerror(errno));
    set_options(chan, name);
    snprintf(address, sizeof address, "ipc://%s", chan->path);
    rc = binds(chan->role) ? zmq_bind(chan->socket, address) : zmq_connect(chan->socket, address);
    if (rc != 0)
        return err_set(err, ST_IO, "%s %s: %s", binds(chan->role) ? "bind" : "connect to",
                       chan->path, zmq_strerror(errno));
    chan->bound = binds(chan->role);
    return ST_OK;
}

enum status chan_open(struct chan **out, enum chan_role role, const char *path, const char *name,
                      struct err *err)
{
    struct chan *chan;
    enum status st;

    if (path[0] != '/' || strlen(path) >= SOCKET_PATH_SIZE)
        return err_set(err, ST_INVALID,
                       "socket path '%.120s': an absolute path of at most %d bytes is needed", path,
                       SOCKET_PATH_SIZE - 1);
    if (role == CHAN_CLIENT && !is_name(name))
        return err_set(err, ST_INVALID,
                       "client name '%.40s': 1 .. %d letters, digits, '.', '_' or '-' are needed",
                       name != NULL ? name : "", CHAN_MAX_NAME - 1);
    chan = mem_zalloc(sizeof *chan);
    chan->role = role;
    snprintf(chan->path, sizeof chan->path, "%s", path);
    if (role == CHAN_CLIENT)
        snprintf(chan->name, sizeof chan->name, "%s", name);
    st = attach(chan, name, err);
    if (st != ST_OK) {
        chan_close(chan);
        return st;
    }
    *out = chan;
    return ST_OK;
}

void chan_close(struct chan *chan)
{
    if (chan == NULL)
        return;
    if (chan->socket != NULL)
        zmq_close(chan->socket);
    while (chan->context != NULL && zmq_ctx_term(chan->context) != 0 && errno == EINTR)
        continue;
    if (chan->bound && unlink(chan->path) != 0 && errno != ENOENT)
        log_warn(LOG_MSG, "unlink path=%s error=%s", chan->path, strerror(errno));
    free(chan);
}

/* `peer` is a server's; both ends name the client. */
static void trace(const struct chan *chan, enum trace_kind kind, uint64_t begin_ns,
                  const char *peer, const struct msg *msg)
{
    const struct trace_route route = {chan->path, chan->role == CHAN_SERVER ? peer : chan->name};

    if (begin_ns != 0)
        trace_message(kind, begin_ns, msg, &route);
}

/* ---- sending ---- */

/* Sends one frame; a signal does not extend the time allowed. */
static int send_frame(struct chan *chan, const void *bytes, size_t n_bytes, int flags)
{
    uint64_t deadline = clock_now_ns() + (uint64_t)SEND_TIMEOUT_MS * NS_PER_MS;
    int rc;

    do {
        rc = zmq_send(chan->socket, bytes, n_bytes, flags);
    } while (rc < 0 && errno == EINTR && clock_now_ns() < deadline);
    return rc;
}

enum status chan_send(struct chan *chan, const char *peer, const struct msg *msg, struct err *err)
{
    const char *to = chan->role == CHAN_SERVER ? peer : chan->path;
    uint64_t begin_ns = trace_now();
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    enum status st;
    int rc = 0;

    CHECK(chan->role != CHAN_SERVER || (peer != NULL && peer[0] != '\0'));
    st = msg_pack(msg, &bytes, &n_bytes, err);
    if (st != ST_OK)
        return st;
    if (chan->role == CHAN_SERVER)
        rc = send_frame(chan, peer, strlen(peer), ZMQ_SNDMORE);
    if (rc >= 0)
        rc = send_frame(chan, bytes, n_bytes, 0);
    free(bytes);
    if (rc >= 0) {
        chan->counts.n_sent++;
        chan->counts.bytes_sent += n_bytes;
        trace(chan, TRACE_SEND, begin_ns, peer, msg);
        return ST_OK;
    }
    if (errno == EHOSTUNREACH)
        return err_set(err, ST_CLOSED, "send %s to %s: no such peer is connected",
                       msg_verb_name(msg->verb), to);
    if (errno == EAGAIN || errno == EINTR)
        return err_set(err, ST_CLOSED, "send %s to %s: it has read nothing for %d ms",
                       msg_verb_name(msg->verb), to, SEND_TIMEOUT_MS);
    return err_set(err, ST_IO, "send %s to %s: %s", msg_verb_name(msg->verb), to,
                   zmq_strerror(errno));
}

/* ---- receiving ---- */

/* The routing id as text; bytes that a name cannot have become '?'. */
static bool copy_name(char peer[CHAN_MAX_NAME], zmq_msg_t *frame)
{
    size_t n = zmq_msg_size(frame);
    size_t n_kept = n < CHAN_MAX_NAME ? n : CHAN_MAX_NAME - 1;

    memcpy(peer, zmq_msg_data(frame), n_kept);
    peer[n_kept] = '\0';
    for (size_t i = 0; i < n_kept; i++) {
        if (!isalnum((unsigned char)peer[i]) && (peer[i] == '\0' || !strchr("._-", peer[i])))
            peer[i] = '?';
    }
    return n < CHAN_MAX_NAME && is_name(peer);
}

/* Receives the frame that follows another one of the same message; it is
 * there already, since ZeroMQ delivers messages whole. */
static void next_frame(struct chan *chan, zmq_msg_t *frame)
{
    int rc;

    do {
        rc = zmq_msg_recv(frame, chan->socket, ZMQ_DONTWAIT);
    } while (rc < 0 && errno == EINTR);
    CHECK(rc >= 0);
}

/* Reads the message whose first frame has come, to its last frame. */
static enum status read_message(struct chan *chan, zmq_msg_t *frame, char peer[CHAN_MAX_NAME],
                                struct msg *out, struct err *err)
{
    bool named = true, extra = false, missing = false;
    uint64_t begin_ns = trace_now();
    enum status st;

    peer[0] = '\0';
    if (chan->role == CHAN_SERVER) {
        named = copy_name(peer, frame);
        missing = !zmq_msg_more(frame);
        if (!missing)
            next_frame(chan, frame);
    }
    chan->counts.n_received++;
    chan->counts.bytes_received += zmq_msg_size(frame);
    if (!zmq_msg_more(frame) && named && !missing) {
        st = msg_unpack(out, zmq_msg_data(frame), zmq_msg_size(frame), err);
        if (st != ST_OK)
            return err_in(err, st, "from %s", peer[0] != '\0' ? peer : chan->path);
        trace(chan, TRACE_RECEIVE, begin_ns, peer, out);
        return ST_OK;
    }
    while (zmq_msg_more(frame)) {
        extra = true;
        next_frame(chan, frame);
    }
    return err_set(err, ST_CORRUPT, "from %s: %s", peer[0] != '\0' ? peer : chan->path,
                   !named  ? "the peer has no proper name"
                   : extra ? "a message of several frames"
                           : "a message without a frame");
}

/* Takes a message if one waits. ST_TIMEOUT: none. */
static enum status try_recv(struct chan *chan, char peer[CHAN_MAX_NAME], struct msg *out,
                            struct err *err)
{
    zmq_msg_t frame;
    enum status st;

    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, chan->socket, ZMQ_DONTWAIT) >= 0)
        st = read_message(chan, &frame, peer, out, err);
    else if (errno == EAGAIN || errno == EINTR)
        st = ST_TIMEOUT;
    else
        st = err_set(err, ST_IO, "receive on %s: %s", chan->path, zmq_strerror(errno));
    zmq_msg_close(&frame);
    return st;
}

/* Sleeps until the socket or a wake descriptor is ready, or until `deadline`
 * (UINT64_MAX: never). *woken only if a descriptor is. */
static enum status sleep_until(struct chan *chan, const struct chan_wait *wait, uint64_t deadline,
                               bool *woken, struct err *err)
{
    zmq_pollitem_t item[1 + N_WAKE_FDS] = {{.socket = chan->socket, .events = ZMQ_POLLIN}};
    uint64_t now = clock_now_ns();
    long left_ms = -1;
    int n = 1;

    for (int i = 0; i < N_WAKE_FDS; i++) {
        if (wait->wake_fd[i] >= 0)
            item[n++] = (zmq_pollitem_t){.fd = wait->wake_fd[i], .events = ZMQ_POLLIN};
    }
    if (deadline != UINT64_MAX)
        left_ms = now < deadline ? (long)((deadline - now) / NS_PER_MS) + 1 : 0;
    *woken = false;
    if (zmq_poll(item, n, left_ms) < 0 && errno != EINTR)
        return err_set(err, ST_IO, "wait on %s: %s", chan->path, zmq_strerror(errno));
    for (int i = 1; i < n; i++)
        *woken = *woken || item[i].revents != 0;
    return ST_OK;
}

enum status chan_recv(struct chan *chan, char peer[CHAN_MAX_NAME], struct msg *out,
                      const struct chan_wait *wait, struct err *err)
{
    uint64_t start = clock_now_ns();
    uint64_t deadline =
        wait->timeout_ms < 0 ? UINT64_MAX : start + (uint64_t)wait->timeout_ms * NS_PER_MS;
    uint64_t spin_end = start + (uint64_t)(wait->spin_us > 0 ? wait->spin_us : 0) * NS_PER_US;
    char unused[CHAN_MAX_NAME];
    char *name = peer != NULL ? peer : unused;
    enum status st = try_recv(chan, name, out, err);

    while (st == ST_TIMEOUT && clock_now_ns() < (spin_end < deadline ? spin_end : deadline))
        st = try_recv(chan, name, out, err);
    while (st == ST_TIMEOUT) {
        bool woken = false;
        enum status slept = sleep_until(chan, wait, deadline, &woken, err);
        if (slept != ST_OK)
            return slept;
        st = try_recv(chan, name, out, err);
        if (st == ST_TIMEOUT && woken)
            return err_set(err, ST_CLOSED, "woken while waiting on %s", chan->path);
        if (st == ST_TIMEOUT && clock_now_ns() >= deadline)
            return err_set(err, ST_TIMEOUT, "no message on %s in %d ms", chan->path,
                           wait->timeout_ms);
    }
    return st;
}

int chan_fd(const struct chan *chan)
{
    int fd = -1;
    size_t size = sizeof fd;

    CHECK(zmq_getsockopt(chan->socket, ZMQ_FD, &fd, &size) == 0);
    return fd;
}

struct chan_counts chan_counts(const struct chan *chan)
{
    return chan->counts;
}
