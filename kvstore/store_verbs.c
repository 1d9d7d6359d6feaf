#include "kvstore/store_verbs.h"

#include <inttypes.h>

#include "common/log.h"
#include "common/mem.h"

static enum status find_seq(const struct store *s, uint64_t id, struct seq **out, struct err *err)
{
    *out = id_table_find(&s->seqs, id);
    if (!*out)
        return err_set(err, ST_NOT_FOUND, "no sequence %" PRIu64, id);
    return ST_OK;
}

/* For the verbs that change a sequence. */
static enum status find_own_seq(const struct store *s, const struct client *c, uint64_t id,
                                struct seq **out, struct err *err)
{
    enum status st = find_seq(s, id, out, err);

    if (st == ST_OK && !(*out)->keep && (*out)->owner != c->token)
        return err_set(err, ST_INVALID, "sequence %" PRIu64 " belongs to another client", id);
    return st;
}

static enum status find_reservation(const struct store *s, const struct client *c, uint64_t id,
                                    struct reservation **out, struct err *err)
{
    struct reservation *r = id_table_find(&s->reservations, id);

    if (!r || r->client != c->token)
        return err_set(err, ST_NOT_FOUND, "no reservation %" PRIu64 " of this client", id);
    *out = r;
    return ST_OK;
}

static enum status check_open(const struct store *s, struct err *err)
{
    if (s->is_draining)
        return err_set(err, ST_CLOSED, "the store is draining and opens nothing new");
    return ST_OK;
}

static void close_reservation(struct store *s, struct reservation *r)
{
    struct seq *seq = id_table_find(&s->seqs, r->seq);

    CHECK(seq && seq->reservation == r->id);
    seq->reservation = 0;
    id_table_remove(&s->reservations, r->id);
    reservation_close(r, &s->arena);
}

static void close_seq(struct store *s, struct seq *seq)
{
    if (seq->reservation)
        close_reservation(s, id_table_find(&s->reservations, seq->reservation));
    id_table_remove(&s->seqs, seq->id);
    seq_close(seq, &s->arena);
}

static void close_lease(struct store *s, struct lease *lease)
{
    id_table_remove(&s->leases, lease->id);
    lease_close(lease, &s->arena);
}

/* Takes seq, also on failure. */
static enum status add_seq(struct store *s, const struct client *c, struct seq *seq,
                           struct msg *reply, struct err *err)
{
    enum status st = id_table_add(&s->seqs, seq, &seq->id, err);

    if (st != ST_OK) {
        seq_close(seq, &s->arena);
        return err_in(err, st, "sequences");
    }
    seq->owner = c->token;
    reply->verb = MSG_SEQ;
    reply->seq.seq = seq->id;
    reply->seq.blob_offset = seq->blob ? seq->blob->offset : 0;
    return ST_OK;
}

static enum status on_create_seq(struct store *s, const struct client *c,
                                 const struct msg_create_seq *m, struct msg *reply, struct err *err)
{
    struct seq *seq = NULL;
    enum status st = check_open(s, err);

    if (st == ST_OK)
        st = seq_open(&seq, m, &s->arena, err);
    if (st == ST_OK)
        st = add_seq(s, c, seq, reply, err);
    return st;
}

static enum status verify(struct store *s, const struct seq *seq, uint32_t first_layer,
                          uint32_t n_pages, struct err *err)
{
    enum status st = seq_verify(seq, first_layer, n_pages, s->base, err);

    if (st == ST_CORRUPT) {
        s->n_checksum_failures++;
        log_warn(LOG_KV, "corrupt %s", err->text);
    }
    return st;
}

static enum status on_fork_seq(struct store *s, const struct client *c,
                               const struct msg_fork_seq *m, struct msg *reply, struct err *err)
{
    struct seq *from = NULL, *seq = NULL;
    enum status st = check_open(s, err);

    if (st == ST_OK)
        st = find_seq(s, m->seq, &from, err);
    if (st == ST_OK)
        st = seq_fork(&seq, from, m, err);
    if (st != ST_OK)
        return st;
    st = verify(s, from, m->first_layer, m->n_pages, err);
    if (st != ST_OK) {
        seq_close(seq, &s->arena);
        return st;
    }
    return add_seq(s, c, seq, reply, err);
}

static enum status on_reserve(struct store *s, const struct client *c, const struct msg_reserve *m,
                              struct msg *reply, struct err *err)
{
    struct seq *seq = NULL;
    struct reservation *r = NULL;
    enum status st = check_open(s, err);

    if (st == ST_OK)
        st = find_own_seq(s, c, m->seq, &seq, err);
    if (st == ST_OK)
        st = reservation_open(&r, seq, m->n_columns, &s->arena, err);
    if (st != ST_OK)
        return st;
    st = id_table_add(&s->reservations, r, &r->id, err);
    if (st != ST_OK) {
        reservation_close(r, &s->arena);
        return err_in(err, st, "reservations");
    }
    r->client = c->token;
    seq->reservation = r->id;
    reply->verb = MSG_RESERVED;
    seq_map(seq, r, &reply->page_map);
    reply->page_map.lease = r->id;
    return ST_OK;
}

static enum status on_commit(struct store *s, const struct client *c, const struct msg_commit *m,
                             struct err *err)
{
    struct reservation *r = NULL;
    enum status st = find_reservation(s, c, m->lease, &r, err);

    if (st == ST_OK)
        st = reservation_commit(r, id_table_find(&s->seqs, r->seq), m, &s->arena, err);
    if (st == ST_OK)
        close_reservation(s, r);
    return st;
}

static enum status on_abort(struct store *s, const struct client *c, const struct msg_abort *m,
                            struct err *err)
{
    struct reservation *r = NULL;
    enum status st = find_reservation(s, c, m->lease, &r, err);

    if (st == ST_OK)
        close_reservation(s, r);
    return st;
}

static enum status on_acquire(struct store *s, const struct client *c, const struct msg_acquire *m,
                              struct msg *reply, struct err *err)
{
    struct seq *seq = NULL;
    struct lease *lease;
    enum status st = find_seq(s, m->seq, &seq, err);

    if (st == ST_OK && m->verify)
        st = verify(s, seq, seq->first_layer, seq->n_pages, err);
    if (st != ST_OK)
        return st;
    lease = lease_open(seq);
    st = id_table_add(&s->leases, lease, &lease->id, err);
    if (st != ST_OK) {
        lease_close(lease, &s->arena);
        return err_in(err, st, "leases");
    }
    lease->client = c->token;
    reply->verb = MSG_PAGE_MAP;
    seq_map(seq, NULL, &reply->page_map);
    reply->page_map.lease = lease->id;
    return ST_OK;
}

static enum status on_release(struct store *s, const struct client *c, const struct msg_release *m,
                              struct err *err)
{
    struct lease *lease = id_table_find(&s->leases, m->lease);

    if (!lease || lease->client != c->token)
        return err_set(err, ST_NOT_FOUND, "no lease %" PRIu64 " of this client", m->lease);
    close_lease(s, lease);
    return ST_OK;
}

static enum status on_truncate(struct store *s, const struct client *c,
                               const struct msg_truncate *m, struct err *err)
{
    struct seq *seq = NULL;
    enum status st = find_own_seq(s, c, m->seq, &seq, err);

    if (st != ST_OK)
        return st;
    if (seq->reservation)
        return err_set(err, ST_INVALID, "sequence %" PRIu64 " has an open reservation", m->seq);
    if (m->n_pages > seq->n_pages)
        return err_set(err, ST_INVALID, "n_pages is %u, the sequence has %u", m->n_pages,
                       seq->n_pages);
    if (m->n_pages == seq->n_pages)
        return ST_OK;
    for (uint32_t i = 0; i < seq_n_lists(seq); i++)
        page_list_truncate(&seq->list[i], m->n_pages, &s->arena);
    seq->n_pages = m->n_pages;
    seq->generation++;
    return ST_OK;
}

static enum status on_drop_seq(struct store *s, const struct client *c,
                               const struct msg_drop_seq *m, struct err *err)
{
    struct seq *seq = NULL;
    enum status st = find_own_seq(s, c, m->seq, &seq, err);

    if (st == ST_OK)
        close_seq(s, seq);
    return st;
}

enum status store_verb(struct store *s, struct client *c, const struct msg *request,
                       struct msg *reply, struct err *err)
{
    reply->verb = MSG_DONE; /* unless the verb has an answer of its own */
    switch (request->verb) {
    case MSG_HELLO:
        if (request->hello.door_token != c->token)
            return err_set(err, ST_INVALID, "this channel said HELLO with another token before");
        reply->verb = MSG_WELCOME;
        reply->welcome = s->welcome;
        return ST_OK;
    case MSG_CREATE_SEQ:
        return on_create_seq(s, c, &request->create_seq, reply, err);
    case MSG_FORK_SEQ:
        return on_fork_seq(s, c, &request->fork_seq, reply, err);
    case MSG_RESERVE:
        return on_reserve(s, c, &request->reserve, reply, err);
    case MSG_COMMIT:
        return on_commit(s, c, &request->commit, err);
    case MSG_ABORT:
        return on_abort(s, c, &request->abort, err);
    case MSG_ACQUIRE:
        return on_acquire(s, c, &request->acquire, reply, err);
    case MSG_RELEASE:
        return on_release(s, c, &request->release, err);
    case MSG_TRUNCATE:
        return on_truncate(s, c, &request->truncate, err);
    case MSG_DROP_SEQ:
        return on_drop_seq(s, c, &request->drop_seq, err);
    case MSG_STATS:
        reply->verb = MSG_STATS_REPLY;
        reply->stats = store_stats(s);
        return ST_OK;
    case MSG_PING:
        return ST_OK;
    case MSG_DRAIN:
        s->is_draining = true;
        return ST_OK;
    default:
        return err_set(err, ST_INVALID, "%s is no verb of the store", msg_verb_name(request->verb));
    }
}

void store_drop_client_holds(struct store *s, const struct client *c)
{
    for (uint32_t i = 0; i < s->leases.n_slots; i++) {
        struct lease *lease = id_table_slot(&s->leases, i);
        if (lease && lease->client == c->token)
            close_lease(s, lease);
    }
    for (uint32_t i = 0; i < s->reservations.n_slots; i++) {
        struct reservation *r = id_table_slot(&s->reservations, i);
        if (r && r->client == c->token)
            close_reservation(s, r);
    }
    for (uint32_t i = 0; i < s->seqs.n_slots; i++) {
        struct seq *seq = id_table_slot(&s->seqs, i);
        if (seq && seq->owner == c->token && (!seq->keep || (seq->blob && !seq->blob_sealed)))
            close_seq(s, seq);
    }
}
