#include "kvstore/kv_client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/door.h"
#include "common/mem.h"
#include "common/shm.h"
#include "kernels/kv_format.h"
#include "kvstore/door_token.h"
#include "kvstore/kv_map.h"

enum { SOCKET_PATH = 108, ANSWER_MS = 10000, BYE_MS = 500, NS_PER_MS = 1000000 };

struct kv_client {
    struct shm shm;
    struct chan *chan;
    int door;
    uint64_t n_requests;
    struct msg_welcome welcome;
};

/* ---- one request, one answer ---- */

/* An answer to an earlier question, which timed out, is thrown away. Request 0
 * answers a message whose number the store could not read. */
static enum status receive(struct kv_client *c, uint64_t request, int timeout_ms, struct msg *out,
                           struct err *err)
{
    uint64_t deadline = clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;

    for (;;) {
        uint64_t now = clock_now_ns();
        struct chan_wait wait = {.timeout_ms =
                                     now < deadline ? (int)((deadline - now) / NS_PER_MS) + 1 : 0,
                                 .wake_fd = {c->door, -1, -1, -1}};
        struct msg msg = {0};
        enum status st = chan_recv(c->chan, NULL, &msg, &wait, err);
        if (st == ST_CLOSED)
            return err_set(err, ST_CLOSED, "the store went away");
        if (st != ST_OK)
            return st;
        if (msg.request == request || (msg.request == 0 && msg.verb == MSG_ERROR)) {
            *out = msg;
            return ST_OK;
        }
        msg_release(&msg);
    }
}

static enum status status_of(const struct msg *answer, struct err *err)
{
    uint32_t st = answer->error.status;

    /* A failure that claims to be none, or an unknown one, is the store's bug. */
    if (st == ST_OK || st >= ST_COUNT)
        st = ST_CORRUPT;
    return err_set(err, (enum status)st, "store: %s", answer->error.words);
}

/* `request` is sent with the next number; on ST_OK *out is the answer with the verb
 * `want`, to be released. */
static enum status ask(struct kv_client *c, struct msg *request, enum msg_verb want,
                       struct msg *out, struct err *err)
{
    struct msg answer = {0};
    enum status st;

    request->request = ++c->n_requests;
    request->epoch = c->welcome.epoch;
    st = chan_send(c->chan, NULL, request, err);
    if (st == ST_OK)
        st = receive(c, request->request, ANSWER_MS, &answer, err);
    if (st == ST_OK && answer.verb == MSG_ERROR)
        st = status_of(&answer, err);
    else if (st == ST_OK && answer.verb != want)
        st = err_set(err, ST_CORRUPT, "the store answered %s", msg_verb_name(answer.verb));
    if (st != ST_OK) {
        msg_release(&answer);
        return err_in(err, st, "%s", msg_verb_name(request->verb));
    }
    *out = answer;
    return ST_OK;
}

static enum status ask_done(struct kv_client *c, struct msg *request, struct err *err)
{
    struct msg answer = {0};
    enum status st = ask(c, request, MSG_DONE, &answer, err);

    msg_release(&answer);
    return st;
}

/* ---- opening ---- */

/* Takes the arena out of the door's first packet. */
static enum status enter(struct kv_client *c, const struct rundir *dir, struct door_token *t,
                         struct err *err)
{
    struct door_packet packet = {0};
    char path[SOCKET_PATH];
    uint32_t n_taken = 0;
    enum status st;

    rundir_socket(dir, "door", path);
    st = door_connect(&c->door, path, ANSWER_MS, err);
    if (st == ST_OK)
        st = door_recv(c->door, &packet, ANSWER_MS, err);
    if (st == ST_OK)
        st = door_token_unpack(t, &packet, err);
    if (st == ST_OK) {
        n_taken = 1;
        st = shm_attach(&c->shm, packet.fd[0], (size_t)t->arena_bytes, err);
    }
    for (uint32_t i = n_taken; i < packet.n_fds; i++)
        close(packet.fd[i]);
    return st;
}

/* A name that no other client has, also not one in another PID namespace. */
static enum status open_chan(struct kv_client *c, const struct rundir *dir, const char *name,
                             struct err *err)
{
    char path[SOCKET_PATH], unique[CHAN_MAX_NAME];
    uint32_t salt;

    if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
        return err_set(err, ST_IO, "getrandom: %s", strerror(errno));
    snprintf(unique, sizeof unique, "%.9s.%d.%08" PRIx32, name, (int)getpid(), salt);
    rundir_socket(dir, "store", path);
    return chan_open(&c->chan, CHAN_CLIENT, path, unique, err);
}

static enum status say_hello(struct kv_client *c, const struct door_token *t, const char *name,
                             struct err *err)
{
    struct msg hello = {.verb = MSG_HELLO,
                        .hello = {.protocol = MSG_VERSION,
                                  .door_token = t->token,
                                  .page_tokens = PAGE_TOKENS,
                                  .layout_id = KV_LAYOUT_ID}};
    struct msg answer = {0};
    enum status st;

    snprintf(hello.hello.client, sizeof hello.hello.client, "%s", name);
    st = ask(c, &hello, MSG_WELCOME, &answer, err);
    if (st != ST_OK)
        return st;
    c->welcome = answer.welcome;
    if (c->welcome.epoch != t->epoch || c->welcome.arena_bytes != t->arena_bytes)
        return err_set(err, ST_STALE, "the store's door and its channel are of different stores");
    return ST_OK;
}

enum status kv_client_open(struct kv_client **out, const struct rundir *dir, const char *name,
                           struct err *err)
{
    struct kv_client *c = mem_zalloc(sizeof *c);
    struct door_token t = {0};
    enum status st;

    c->door = c->shm.fd = -1;
    st = enter(c, dir, &t, err);
    if (st == ST_OK)
        st = open_chan(c, dir, name, err);
    if (st == ST_OK)
        st = say_hello(c, &t, name, err);
    if (st != ST_OK) {
        c->welcome.epoch = 0; /* no BYE */
        kv_client_close(c);
        return err_in(err, st, "connecting to the store");
    }
    *out = c;
    return ST_OK;
}

void kv_client_close(struct kv_client *c)
{
    struct msg bye = {.verb = MSG_BYE}, answer = {0};

    if (!c)
        return;
    if (c->welcome.epoch != 0) {
        bye.request = ++c->n_requests;
        bye.epoch = c->welcome.epoch;
        /* Closing the door says the same, so a store that does not answer loses
         * nothing. */
        if (chan_send(c->chan, NULL, &bye, NULL) == ST_OK &&
            receive(c, bye.request, BYE_MS, &answer, NULL) == ST_OK)
            msg_release(&answer);
    }
    chan_close(c->chan);
    door_close(c->door);
    shm_release(&c->shm);
    free(c);
}

void *kv_client_base(const struct kv_client *c)
{
    return c->shm.base;
}

uint64_t kv_client_bytes(const struct kv_client *c)
{
    return c->welcome.arena_bytes;
}

const struct msg_welcome *kv_client_welcome(const struct kv_client *c)
{
    return &c->welcome;
}

int kv_client_door(const struct kv_client *c)
{
    return c->door;
}

/* ---- verbs ---- */

static bool is_inside(const struct kv_client *c, uint64_t offset, uint64_t n, uint64_t size_bytes)
{
    uint64_t n_bytes;

    return !__builtin_mul_overflow(n, size_bytes, &n_bytes) && offset <= c->welcome.arena_bytes &&
           n_bytes <= c->welcome.arena_bytes - offset;
}

/* Whoever uses a map turns offsets into addresses without looking again. */
static enum status check_map(const struct kv_client *c, const struct msg_page_map *map,
                             struct err *err)
{
    bool good = map->page_bytes > 0 && map->first_layer <= map->n_layers &&
                map->n_layers <= MSG_MAX_LAYERS &&
                is_inside(c, map->blob_offset, 1, map->blob_bytes);

    for (uint32_t i = 0; good && i < map->n_runs; i++) {
        const struct msg_page_run *r = &map->run[i];
        good = r->layer >= map->first_layer && r->layer < map->n_layers &&
               r->first_page <= UINT32_MAX - r->n_pages &&
               is_inside(c, r->offset, r->n_pages, map->page_bytes);
    }
    if (!good)
        return err_set(err, ST_CORRUPT,
                       "the store's map of sequence %" PRIu64
                       " has pages outside its layers or the arena",
                       map->seq);
    return ST_OK;
}

static enum status ask_map(struct kv_client *c, struct msg *request, enum msg_verb want,
                           struct msg_page_map *out, struct err *err)
{
    struct msg answer = {0};
    enum status st = ask(c, request, want, &answer, err);

    if (st == ST_OK)
        st = check_map(c, &answer.page_map, err);
    if (st != ST_OK) {
        msg_release(&answer);
        return st;
    }
    *out = answer.page_map; /* with its runs */
    return ST_OK;
}

static enum status ask_seq(struct kv_client *c, struct msg *request, struct msg_seq *out,
                           struct err *err)
{
    struct msg answer = {0};
    enum status st = ask(c, request, MSG_SEQ, &answer, err);

    if (st == ST_OK)
        *out = answer.seq;
    msg_release(&answer);
    return st;
}

enum status kv_client_create(struct kv_client *c, const struct msg_create_seq *what,
                             struct msg_seq *out, struct err *err)
{
    struct msg m = {.verb = MSG_CREATE_SEQ, .create_seq = *what};
    struct msg_seq seq = {0};
    enum status st = ask_seq(c, &m, &seq, err);

    if (st == ST_OK && !is_inside(c, seq.blob_offset, 1, what->blob_bytes))
        st = err_set(err, ST_CORRUPT, "the store put the blob outside the arena");
    if (st == ST_OK)
        *out = seq;
    return st;
}

enum status kv_client_fork(struct kv_client *c, const struct msg_fork_seq *what,
                           struct msg_seq *out, struct err *err)
{
    struct msg m = {.verb = MSG_FORK_SEQ, .fork_seq = *what};

    return ask_seq(c, &m, out, err);
}

enum status kv_client_reserve(struct kv_client *c, uint64_t seq, uint32_t n_columns,
                              struct msg_page_map *out, struct err *err)
{
    struct msg m = {.verb = MSG_RESERVE, .reserve = {.seq = seq, .n_columns = n_columns}};

    return ask_map(c, &m, MSG_RESERVED, out, err);
}

enum status kv_client_abort(struct kv_client *c, uint64_t lease, struct err *err)
{
    struct msg m = {.verb = MSG_ABORT, .abort = {.lease = lease}};

    return ask_done(c, &m, err);
}

enum status kv_client_acquire(struct kv_client *c, uint64_t seq, bool verify,
                              struct msg_page_map *out, struct err *err)
{
    struct msg m = {.verb = MSG_ACQUIRE, .acquire = {.seq = seq, .verify = verify}};

    return ask_map(c, &m, MSG_PAGE_MAP, out, err);
}

enum status kv_client_release(struct kv_client *c, uint64_t lease, struct err *err)
{
    struct msg m = {.verb = MSG_RELEASE, .release = {.lease = lease}};

    return ask_done(c, &m, err);
}

enum status kv_client_truncate(struct kv_client *c, uint64_t seq, uint32_t n_pages, struct err *err)
{
    struct msg m = {.verb = MSG_TRUNCATE, .truncate = {.seq = seq, .n_pages = n_pages}};

    return ask_done(c, &m, err);
}

enum status kv_client_drop(struct kv_client *c, uint64_t seq, struct err *err)
{
    struct msg m = {.verb = MSG_DROP_SEQ, .drop_seq = {.seq = seq}};

    return ask_done(c, &m, err);
}

enum status kv_client_stats(struct kv_client *c, struct msg_stats *out, struct err *err)
{
    struct msg m = {.verb = MSG_STATS}, answer = {0};
    enum status st = ask(c, &m, MSG_STATS_REPLY, &answer, err);

    if (st == ST_OK)
        *out = answer.stats;
    msg_release(&answer);
    return st;
}

enum status kv_client_ping(struct kv_client *c, struct err *err)
{
    struct msg m = {.verb = MSG_PING};

    return ask_done(c, &m, err);
}

enum status kv_client_commit(struct kv_client *c, const struct msg_page_map *reserved,
                             bool seal_blob, struct err *err)
{
    struct msg m = {.verb = MSG_COMMIT, .commit = {.lease = reserved->lease, .blob = seal_blob}};
    enum status st;

    st = kv_map_checksums(c->shm.base, reserved, seal_blob, &m.commit, err);
    if (st == ST_OK)
        st = ask_done(c, &m, err);
    msg_release(&m);
    return st;
}

void kv_client_pages(const struct kv_client *c, const struct msg_page_map *map, uint32_t layer,
                     uint32_t first, uint32_t n, void **page)
{
    kv_map_pages(c->shm.base, map, layer, first, n, page);
}
