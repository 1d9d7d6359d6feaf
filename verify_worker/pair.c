#include "verify_worker/pair.h"

#include <stdlib.h>
#include <string.h>

#include "common/chan.h"
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
    uint32_t n_vocab;
    int listen_fd, door_fd; /* -1: closed, not attached */
    struct chan *chan;
    uint64_t draft_kv_bytes;
};

enum status pair_open(struct pair **out, const struct rundir *dir, uint32_t n_vocab,
                      size_t retrieval_bytes, struct err *err)
{
    struct pair *p = mem_zalloc(sizeof *p);
    /* memfd: never limited by the size of /dev/shm, and never has a name. */
    struct shm_args args = {SHM_MEMFD, pair_retrieval_offset(n_vocab) + retrieval_bytes, -1, false};
    char path[108];
    enum status st;

    p->n_vocab = n_vocab;
    p->listen_fd = p->door_fd = -1;
    st = shm_create(&p->segment, &args, err);
    if (st == ST_OK) {
        rundir_socket(dir, "pair-door", path);
        st = door_listen(&p->listen_fd, path, err);
    }
    if (st == ST_OK) {
        rundir_socket(dir, "pair", path);
        st = chan_open(&p->chan, CHAN_PAIR_BIND, path, "verify", err);
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
    shm_release(&p->segment);
    free(p);
}

static enum status exchange_hello(struct pair *p, struct err *err)
{
    struct pair_hello hello = {p->segment.size_bytes, p->n_vocab, MSG_VERSION};
    struct door_packet packet = {.n_bytes = sizeof hello, .n_fds = 1, .fd = {p->segment.fd}};
    struct pair_answer answer;
    enum status st;

    memcpy(packet.bytes, &hello, sizeof hello);
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

enum status pair_attach(struct pair *p, struct err *err)
{
    enum status st;

    if (p->door_fd >= 0)
        return ST_OK;
    st = door_accept(p->listen_fd, &p->door_fd, err);
    if (st == ST_OK)
        st = exchange_hello(p, err);
    if (st != ST_OK) {
        door_close(p->door_fd);
        p->door_fd = -1;
        return err_in(err, st, "waiting for the draft worker");
    }
    return ST_OK;
}

const float *pair_slab(const struct pair *p)
{
    return p->segment.base;
}

void *pair_retrieval(const struct pair *p, size_t *size_bytes)
{
    size_t offset = pair_retrieval_offset(p->n_vocab);

    *size_bytes = p->segment.size_bytes - offset;
    return (uint8_t *)p->segment.base + offset;
}

uint64_t pair_draft_kv_bytes(const struct pair *p)
{
    return p->draft_kv_bytes;
}

enum status pair_send(struct pair *p, const struct msg *msg, struct err *err)
{
    return chan_send(p->chan, NULL, msg, err);
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
    struct chan_counts counts = chan_counts(p->chan);

    return counts.n_sent + counts.n_received;
}
