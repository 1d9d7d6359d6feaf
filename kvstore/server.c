#include "kvstore/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/rundir.h"
#include "common/trace.h"
#include "kvstore/door_token.h"
#include "kvstore/page_size.h"
#include "kvstore/store.h"
#include "kvstore/store_metrics.h"

enum { SOCKET_PATH = 108, MAX_EVENTS = 16, NODE_SAMPLES = 1024 };

struct door {
    int fd;
    uint64_t token;
};

struct server {
    struct rundir *dir;
    struct shm shm;
    struct store store;
    struct chan *chan, *control;
    int listen_fd, epoll_fd;
    bool listens;  /* listen_fd is watched */
    bool is_bound; /* the door's socket file is ours to remove */
    bool quits;
    uint32_t n_doors;
    struct door door[STORE_MAX_CLIENTS];
};

/* ---- doors ---- */

static void watch(struct server *s, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    CHECK(epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void watch_listen(struct server *s, bool on)
{
    if (on == s->listens)
        return;
    if (on)
        watch(s, s->listen_fd);
    else
        CHECK(epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->listen_fd, NULL) == 0);
    s->listens = on;
}

static void close_door(struct server *s, uint32_t i)
{
    uint64_t token = s->door[i].token;

    door_close(s->door[i].fd); /* leaves the epoll set with it */
    s->door[i] = s->door[--s->n_doors];
    store_door_closed(&s->store, token);
    watch_listen(s, true); /* there are descriptors again */
}

static void close_door_of(struct server *s, uint64_t token)
{
    for (uint32_t i = 0; i < s->n_doors; i++)
        if (s->door[i].token == token) {
            close_door(s, i);
            return;
        }
}

/* A new door gets its token and the arena, or is closed again. */
static enum status welcome_door(struct server *s, int fd, struct err *err)
{
    struct door_token t = {.epoch = s->store.epoch, .arena_bytes = s->shm.size_bytes};
    struct door_packet packet;
    enum status st;

    if (s->n_doors == STORE_MAX_CLIENTS)
        return err_set(err, ST_NO_SPACE, "%d doors are open, the most the store serves",
                       STORE_MAX_CLIENTS);
    st = store_door_open(&s->store, &t.token, err);
    if (st != ST_OK)
        return st;
    door_token_pack(&t, s->shm.fd, &packet);
    st = door_send(fd, &packet, err);
    if (st != ST_OK) {
        store_door_closed(&s->store, t.token);
        return st;
    }
    s->door[s->n_doors++] = (struct door){.fd = fd, .token = t.token};
    watch(s, fd);
    return ST_OK;
}

static void on_listen(struct server *s)
{
    struct err err = {{0}};
    int fd = -1;
    enum status st = door_accept(s->listen_fd, &fd, &err);

    if (st == ST_OK)
        st = welcome_door(s, fd, &err);
    if (st == ST_OK)
        return;
    log_warn(LOG_KV, "door refused: %s", err.text);
    door_close(fd);
    /* Out of descriptors the listener would stay readable and the loop spin. */
    if (st == ST_IO && fd < 0)
        watch_listen(s, false);
}

/* Clients never send through the door: whatever is readable ends it. */
static void on_door(struct server *s, int fd)
{
    struct door_packet packet = {0};

    for (uint32_t i = 0; i < s->n_doors; i++) {
        if (s->door[i].fd != fd)
            continue;
        if (door_recv(fd, &packet, 0, NULL) == ST_OK) {
            log_warn(LOG_KV, "door closed: its client sent %u bytes through it", packet.n_bytes);
            for (uint32_t k = 0; k < packet.n_fds; k++)
                close(packet.fd[k]);
        }
        close_door(s, i);
        return;
    }
}

static void handle_doors(struct server *s)
{
    struct epoll_event event[MAX_EVENTS];
    int n = epoll_wait(s->epoll_fd, event, MAX_EVENTS, 0);

    for (int i = 0; i < n; i++) {
        if (event[i].data.fd == s->listen_fd)
            on_listen(s);
        else
            on_door(s, event[i].data.fd);
    }
}

/* ---- control ---- */

static void on_control(struct server *s, const struct msg *request)
{
    struct msg reply = {.verb = MSG_DONE, .request = request->request, .epoch = s->store.epoch};
    struct err err = {{0}};

    if (request->verb == MSG_QUIT) {
        log_info(LOG_KV, "quit");
        s->quits = true;
        return;
    }
    if (request->verb == MSG_DRAIN) {
        s->store.is_draining = true;
    } else if (request->verb == MSG_STATS) {
        reply.verb = MSG_STATS_REPLY;
        reply.stats = store_stats(&s->store);
    } else if (request->verb == MSG_HELLO) {
        reply.verb = MSG_WELCOME; /* what was granted, for the manifest */
        reply.welcome = s->store.welcome;
    } else if (request->verb != MSG_PING) {
        reply.verb = MSG_ERROR;
        reply.error.status = ST_INVALID;
        snprintf(reply.error.words, sizeof reply.error.words, "%s is no control verb of the store",
                 msg_verb_name(request->verb));
    }
    if (chan_send(s->control, NULL, &reply, &err) != ST_OK)
        log_warn(LOG_KV, "control: %s", err.text);
}

/* Until nothing is left, directly before the loop sleeps: see chan_fd. */
static enum status handle_control(struct server *s, struct err *err)
{
    const struct chan_wait now = {.wake_fd = {-1, -1, -1, -1}};

    while (s->control && !s->quits) {
        struct msg request = {0};
        enum status st = chan_recv(s->control, NULL, &request, &now, err);
        if (st == ST_TIMEOUT)
            return ST_OK;
        if (st == ST_OK)
            on_control(s, &request);
        else if (st == ST_CORRUPT || st == ST_VERSION)
            log_warn(LOG_KV, "control: %s", err->text);
        else
            return err_in(err, st, "control channel");
        msg_release(&request);
    }
    return ST_OK;
}

/* ---- requests ---- */

static void send_reply(struct server *s, const char *peer, const struct msg *reply)
{
    struct err err = {{0}};

    if (chan_send(s->chan, peer, reply, &err) == ST_OK)
        return;
    /* A client that reads no replies must not hold up the others again. */
    log_warn(LOG_KV, "drop client: %s", err.text);
    close_door_of(s, store_peer_token(&s->store, peer));
}

static void refuse_unreadable(struct server *s, const char *peer, enum status st,
                              const struct err *err)
{
    struct msg reply = {.verb = MSG_ERROR, .epoch = s->store.epoch};

    log_warn(LOG_KV, "unreadable message: %s", err->text);
    reply.error.status = st;
    snprintf(reply.error.words, sizeof reply.error.words, "%.*s", MSG_TEXT - 1, err->text);
    if (peer[0] != '\0')
        send_reply(s, peer, &reply);
}

static enum status serve_one(struct server *s, struct err *err)
{
    const struct chan_wait wait = {
        .timeout_ms = -1,
        .wake_fd = {s->epoll_fd, proc_stop_fd(), s->control ? chan_fd(s->control) : -1, -1}};
    char peer[CHAN_MAX_NAME] = "";
    struct msg request = {0};
    uint64_t span;
    enum status st = chan_recv(s->chan, peer, &request, &wait, err);

    if (st == ST_CLOSED)
        return ST_OK; /* a door, a stop or the control channel: the loop looks */
    if (st == ST_CORRUPT || st == ST_VERSION) {
        refuse_unreadable(s, peer, st, err);
        return ST_OK;
    }
    if (st != ST_OK)
        return st;
    handle_doors(s); /* what a dead client held is free before anybody is refused */
    span = trace_begin(TRACE_SERVE);
    send_reply(s, peer, store_dispatch(&s->store, peer, &request));
    trace_end(TRACE_SERVE, span, request.request, request.verb);
    msg_release(&request);
    store_metrics(&s->store);
    return ST_OK;
}

enum status server_loop(struct server *s, struct err *err)
{
    enum status st = ST_OK;

    while (st == ST_OK && !proc_stop_requested()) {
        handle_doors(s);
        st = handle_control(s, err);
        if (st == ST_OK && s->quits)
            break;
        if (st == ST_OK)
            st = serve_one(s, err);
    }
    return st;
}

/* ---- start and end ---- */

static enum status open_store(struct server *s, const struct server_args *args, struct err *err)
{
    struct shm_args shm = {.kind = args->arena,
                           .size_bytes = (size_t)args->arena_bytes,
                           .numa_node = args->numa_node,
                           .prefault = args->prefault};
    struct store_args store = {.epoch = 0};
    enum status st = shm_create(&s->shm, &shm, err);

    if (st != ST_OK)
        return err_in(err, st, "arena");
    while (store.epoch == 0)
        if (getrandom(&store.epoch, sizeof store.epoch, 0) != sizeof store.epoch)
            return err_set(err, ST_IO, "getrandom: %s", strerror(errno));
    store.base = s->shm.base;
    store.size_bytes = s->shm.size_bytes;
    store.welcome.numa_node = args->numa_node < 0 ? UINT32_MAX : (uint32_t)args->numa_node;
    store.welcome.numa_local_share =
        args->numa_node < 0 ? -1 : shm_node_share(&s->shm, args->numa_node, NODE_SAMPLES);
    store.welcome.huge_page_bytes = page_size_of(s->shm.base);
    store_init(&s->store, &store);
    log_info(LOG_KV, "arena bytes=%zu kind=%s node=%d node_share=%.3f page_bytes=%u",
             s->shm.size_bytes, args->arena == SHM_POSIX ? "posix" : "memfd", args->numa_node,
             store.welcome.numa_local_share, store.welcome.huge_page_bytes);
    return ST_OK;
}

/* A store that was killed leaves its door's file; one that lives answers. */
static enum status open_door(struct server *s, struct err *err)
{
    char path[SOCKET_PATH];
    int fd = -1;
    enum status st;

    rundir_socket(s->dir, "door", path);
    if (door_connect(&fd, path, 0, NULL) == ST_OK) {
        door_close(fd);
        return err_set(err, ST_INVALID, "another store serves %s already", rundir_path(s->dir));
    }
    if (unlink(path) != 0 && errno != ENOENT)
        return err_set(err, ST_IO, "remove the old %s: %s", path, strerror(errno));
    st = door_listen(&s->listen_fd, path, err);
    s->is_bound = st == ST_OK;
    return st;
}

static enum status open_sockets(struct server *s, const struct server_args *args, struct err *err)
{
    char path[SOCKET_PATH];
    enum status st = open_door(s, err);

    rundir_socket(s->dir, "store", path);
    if (st == ST_OK)
        st = chan_open(&s->chan, CHAN_SERVER, path, NULL, err);
    rundir_socket(s->dir, "control", path);
    if (st == ST_OK && args->control)
        st = chan_open(&s->control, CHAN_CLIENT, path, "kvstore", err);
    if (st != ST_OK)
        return st;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd < 0)
        return err_set(err, ST_IO, "epoll_create1: %s", strerror(errno));
    watch_listen(s, true);
    return ST_OK;
}

static enum status say_ready(struct server *s, const struct server_args *args, double seconds,
                             struct err *err)
{
    struct msg ready = {.verb = MSG_READY, .request = 1, .epoch = s->store.epoch};

    if (!s->control)
        return ST_OK;
    snprintf(ready.ready.name, sizeof ready.ready.name, "kvstore");
    snprintf(ready.ready.device, sizeof ready.ready.device, "%s",
             args->arena == SHM_POSIX ? "posix" : "memfd");
    ready.ready.load_s = seconds;
    return chan_send(s->control, NULL, &ready, err);
}

enum status server_open(struct server **out, const struct server_args *args, struct err *err)
{
    struct server *s = mem_zalloc(sizeof *s);
    uint64_t start = clock_now_ns();
    enum status st;

    s->shm.fd = s->listen_fd = s->epoll_fd = -1;
    st = rundir_join(&s->dir, args->run_dir, err);
    if (st == ST_OK)
        st = open_store(s, args, err);
    if (st == ST_OK)
        st = open_sockets(s, args, err);
    if (st == ST_OK)
        st = say_ready(s, args, clock_seconds_since(start), err);
    if (st != ST_OK) {
        server_close(s);
        return err_in(err, st, "starting");
    }
    log_info(LOG_KV, "ready run_dir=%s", rundir_path(s->dir));
    *out = s;
    return ST_OK;
}

void server_close(struct server *s)
{
    char path[SOCKET_PATH];

    if (!s)
        return;
    if (s->is_bound) {
        rundir_socket(s->dir, "door", path);
        unlink(path);
    }
    chan_close(s->control);
    chan_close(s->chan);
    for (uint32_t i = 0; i < s->n_doors; i++)
        door_close(s->door[i].fd);
    door_close(s->listen_fd);
    if (s->epoll_fd >= 0)
        close(s->epoll_fd);
    store_release(&s->store);
    shm_release(&s->shm);
    rundir_leave(s->dir);
    free(s);
}
