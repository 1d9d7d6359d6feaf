#include "verify_worker/pair.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/door.h"
#include "common/mem.h"
#include "common/pair_segment.h"
#include "common/proc.h"
#include "common/shm.h"

enum {
    ATTACH_MS = 20000,
    /* A draft that lives answers; only a hang takes this long. */
    ANSWER_MS = 600000,
    SPIN_US = 50
};

struct pair {
    struct shm segment;
    struct device *dev;
    void *retrieval; /* device memory; NULL: it lies in the segment */
    size_t retrieval_bytes;
    struct pair_hello hello;
    uint32_t n_vocab;
    int listen_fd, door_fd; /* -1: closed, not attached */
    struct chan *chan;
    char chan_path[108];
    uint64_t n_messages_before; /* of channels to drafts that died */
    uint64_t draft_kv_bytes;
};

static enum status open_chan(struct pair *p, struct err *err)
{
    return chan_open(&p->chan, CHAN_PAIR_BIND, p->chan_path, "verify", err);
}

static enum status export_all(struct pair *p, const struct model *model, struct err *err)
{
    uint8_t *table = (uint8_t *)p->segment.base + pair_shares_offset(p->n_vocab);
    struct model_share *share = mem_array(PAIR_MAX_SHARES, sizeof *share);
    enum status st = ST_OK;
    uint32_t n = 0;

    _Static_assert(sizeof(struct model_share) == sizeof(struct pair_share), "the same bytes");
    share[0].size_bytes = p->retrieval_bytes;
    if (p->retrieval != NULL)
        st = device_export(p->dev, p->retrieval, &share[0].share, err);
    if (st == ST_OK)
        st = model_export(model, share + 1, PAIR_MAX_SHARES - 1, &n, err);
    memcpy(table, share, PAIR_MAX_SHARES * sizeof *share);
    p->hello.memory = PAIR_ON_DEVICE;
    p->hello.n_shares = n + 1;
    free(share);
    return st == ST_OK ? ST_OK : err_in(err, st, "opening device memory to the draft");
}

/* Segment and device memory, and what the draft is told of them. */
static enum status open_memory(struct pair *p, const struct pair_args *args, struct err *err)
{
    bool in_segment = device_shares_host(args->dev);
    /* memfd: never limited by the size of /dev/shm, and never has a name. */
    struct shm_args shm = {SHM_MEMFD, pair_retrieval_offset(p->n_vocab), -1, false};
    enum status st;

    if (in_segment)
        shm.size_bytes += args->retrieval_bytes;
    st = shm_create(&p->segment, &shm, err);
    p->hello = (struct pair_hello){.segment_bytes = p->segment.size_bytes,
                                   .n_vocab = p->n_vocab,
                                   .version = MSG_VERSION,
                                   .fingerprint = model_fingerprint(args->model),
                                   .memory = in_segment ? PAIR_IN_SEGMENT : PAIR_PRIVATE};
    if (st != ST_OK || in_segment)
        return st;
    if (args->retrieval_bytes > 0)
        st = device_alloc(p->dev, DEVICE_KV_RETRIEVAL, args->retrieval_bytes, &p->retrieval, err);
    p->retrieval_bytes = p->retrieval != NULL ? args->retrieval_bytes : 0;
    if (st == ST_OK && device_can_share(p->dev))
        st = export_all(p, args->model, err);
    return st;
}

enum status pair_open(struct pair **out, const struct pair_args *args, struct err *err)
{
    struct pair *p = mem_zalloc(sizeof *p);
    char path[108];
    enum status st;

    p->dev = args->dev;
    p->n_vocab = model_config(args->model)->n_vocab;
    p->listen_fd = p->door_fd = -1;
    st = open_memory(p, args, err);
    if (st == ST_OK) {
        rundir_socket(args->dir, "pair-door", path);
        st = door_listen(&p->listen_fd, path, err);
    }
    if (st == ST_OK) {
        rundir_socket(args->dir, "pair", p->chan_path);
        st = open_chan(p, err);
    }
    if (st != ST_OK) {
        pair_close(p);
        return err_in(err, st, "opening the pair");
    }
    *out = p;
    return ST_OK;
}

void pair_close(struct pair *p)
{
    if (p == NULL)
        return;
    chan_close(p->chan);
    door_close(p->door_fd);
    door_close(p->listen_fd);
    device_free(p->dev, p->retrieval);
    shm_release(&p->segment);
    free(p);
}

static enum status exchange_hello(struct pair *p, struct err *err)
{
    struct door_packet packet = {.n_bytes = sizeof p->hello, .n_fds = 1, .fd = {p->segment.fd}};
    struct pair_answer answer;
    enum status st;

    memcpy(packet.bytes, &p->hello, sizeof p->hello);
    st = door_send(p->door_fd, &packet, err);
    if (st == ST_OK)
        st = door_recv(p->door_fd, &packet, ATTACH_MS, err);
    if (st != ST_OK)
        return st;
    if (packet.n_bytes != sizeof answer)
        return err_set(err, ST_VERSION, "the draft's answer has %u bytes, not %zu", packet.n_bytes,
                       sizeof answer);
    memcpy(&answer, packet.bytes, sizeof answer);
    if (answer.version != MSG_VERSION)
        return err_set(err, ST_VERSION, "draft speaks version %u, verify %u", answer.version,
                       (unsigned)MSG_VERSION);
    if (answer.n_vocab != p->n_vocab)
        return err_set(err, ST_INVALID,
                       "the draft's vocabulary has %u tokens, the target's %u: they must be equal",
                       answer.n_vocab, p->n_vocab);
    p->draft_kv_bytes = answer.kv_bytes;
    return ST_OK;
}

/* The draft says nothing through its door after the hello: what can be read
 * there is its end. */
static bool draft_is_gone(const struct pair *p)
{
    struct pollfd door = {.fd = p->door_fd, .events = POLLIN};

    return poll(&door, 1, 0) > 0;
}

/* Forgets a draft that died. A ZeroMQ pair takes one peer in its life for
 * sure, so the next draft gets a socket of its own, at the same path. */
static enum status let_go(struct pair *p, struct err *err)
{
    p->n_messages_before = pair_n_messages(p);
    door_close(p->door_fd);
    p->door_fd = -1;
    chan_close(p->chan);
    p->chan = NULL;
    return open_chan(p, err);
}

/* Waits for somebody at the listening door. */
static enum status await_draft(struct pair *p, uint64_t begin_ns, struct err *err)
{
    struct pollfd item[2] = {{.fd = p->listen_fd, .events = POLLIN},
                             {.fd = proc_stop_fd(), .events = POLLIN}};
    int left_ms = ATTACH_MS - (int)(clock_seconds_since(begin_ns) * 1e3);
    int n;

    do
        n = poll(item, 2, left_ms > 0 ? left_ms : 0);
    while (n < 0 && errno == EINTR && !proc_stop_requested());
    if (proc_stop_requested() || item[1].revents != 0)
        return err_set(err, ST_CLOSED, "stopped");
    if (n < 0)
        return err_set(err, ST_IO, "poll: %s", strerror(errno));
    if (n == 0)
        return err_set(err, ST_TIMEOUT, "none came in %d s", ATTACH_MS / 1000);
    return door_accept(p->listen_fd, &p->door_fd, err);
}

enum status pair_attach(struct pair *p, struct err *err)
{
    uint64_t begin = clock_now_ns();
    struct err words = {{0}};
    enum status st = ST_OK, opened;

    if (p->door_fd >= 0 && !draft_is_gone(p))
        return ST_OK;
    if (p->door_fd >= 0 || p->chan == NULL)
        st = let_go(p, err);
    while (st == ST_OK && p->door_fd < 0) {
        st = await_draft(p, begin, err);
        if (st != ST_OK)
            break;
        st = exchange_hello(p, err);
        if (st == ST_OK)
            break;
        opened = let_go(p, &words);
        if (st == ST_CLOSED) /* it died in the queue: the next one may live */
            st = opened;
    }
    return st == ST_OK ? ST_OK : err_in(err, st, "waiting for the draft worker");
}

const float *pair_slab(const struct pair *p)
{
    return p->segment.base;
}

void *pair_retrieval(const struct pair *p, size_t *size_bytes, bool *is_device)
{
    size_t offset = pair_retrieval_offset(p->n_vocab);

    *is_device = p->hello.memory != PAIR_IN_SEGMENT;
    *size_bytes = p->retrieval_bytes;
    if (*is_device)
        return p->retrieval;
    *size_bytes = p->segment.size_bytes - offset;
    return (uint8_t *)p->segment.base + offset;
}

uint64_t pair_draft_kv_bytes(const struct pair *p)
{
    return p->draft_kv_bytes;
}

enum status pair_send(struct pair *p, const struct msg *msg, struct err *err)
{
    enum status st = chan_send(p->chan, NULL, msg, err);

    if (st == ST_CLOSED && draft_is_gone(p))
        return err_set(err, ST_CLOSED, "the draft worker went away");
    return st;
}

enum status pair_recv(struct pair *p, struct msg *out, struct err *err)
{
    struct chan_wait wait = {ANSWER_MS, SPIN_US, {p->door_fd, proc_stop_fd(), -1, -1}};
    char peer[CHAN_MAX_NAME];
    enum status st;

    st = chan_recv(p->chan, peer, out, &wait, err);
    if (st == ST_CLOSED && !proc_stop_requested())
        return err_set(err, ST_CLOSED, "the draft worker went away");
    return st;
}

uint64_t pair_n_messages(const struct pair *p)
{
    struct chan_counts counts = {0};

    if (p->chan != NULL)
        counts = chan_counts(p->chan);
    return p->n_messages_before + counts.n_sent + counts.n_received;
}
