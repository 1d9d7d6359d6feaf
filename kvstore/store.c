#include "kvstore/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "kernels/kv_format.h"
#include "kvstore/store_verbs.h"

void store_init(struct store *s, const struct store_args *args)
{
    CHECK(args->epoch != 0);
    *s = (struct store){.base = args->base, .epoch = args->epoch, .welcome = args->welcome};
    arena_init(&s->arena, args->size_bytes);
    s->welcome.epoch = args->epoch;
    s->welcome.arena_bytes = args->size_bytes;
    id_table_init(&s->seqs, ID_SEQ);
    id_table_init(&s->leases, ID_LEASE);
    id_table_init(&s->reservations, ID_RESERVATION);
}

void store_release(struct store *s)
{
    for (uint32_t i = 0; i < s->leases.n_slots; i++)
        lease_close(id_table_slot(&s->leases, i), &s->arena);
    for (uint32_t i = 0; i < s->reservations.n_slots; i++)
        reservation_close(id_table_slot(&s->reservations, i), &s->arena);
    for (uint32_t i = 0; i < s->seqs.n_slots; i++)
        seq_close(id_table_slot(&s->seqs, i), &s->arena);
    for (uint32_t i = 0; i < s->n_clients; i++)
        client_close(s->client[i]);
    id_table_release(&s->leases);
    id_table_release(&s->reservations);
    id_table_release(&s->seqs);
    msg_release(&s->scratch);
    arena_release(&s->arena);
    *s = (struct store){0};
}

enum status store_door_open(struct store *s, uint64_t *token, struct err *err)
{
    uint64_t x;

    if (s->n_clients == STORE_MAX_CLIENTS)
        return err_set(err, ST_NO_SPACE, "%d clients are connected, the most the store serves",
                       STORE_MAX_CLIENTS);
    /* The finalizer of splitmix64 is a bijection, so tokens differ; mixing in the
     * epoch keeps the token of an earlier store from being one of this. */
    x = s->epoch + ++s->n_doors * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    if (x == 0)
        return store_door_open(s, token, err); /* 0 means nobody */
    s->client[s->n_clients++] = client_open(x);
    *token = x;
    return ST_OK;
}

static struct client *find_token(const struct store *s, uint64_t token)
{
    for (uint32_t i = 0; i < s->n_clients; i++)
        if (s->client[i]->token == token)
            return s->client[i];
    return NULL;
}

static struct client *find_peer(const struct store *s, const char *peer)
{
    for (uint32_t i = 0; i < s->n_clients; i++)
        if (s->client[i]->is_attached && strcmp(s->client[i]->peer, peer) == 0)
            return s->client[i];
    return NULL;
}

uint64_t store_peer_token(const struct store *s, const char *peer)
{
    const struct client *c = find_peer(s, peer);

    return c ? c->token : 0;
}

static void remove_client(struct store *s, struct client *c)
{
    uint32_t i = 0;

    store_drop_client_holds(s, c);
    while (s->client[i] != c)
        i++;
    s->client[i] = s->client[--s->n_clients];
    client_close(c);
}

void store_door_closed(struct store *s, uint64_t token)
{
    struct client *c = find_token(s, token);

    if (!c)
        return;
    if (c->is_attached) {
        s->n_reaped++;
        log_info(LOG_KV, "reap client=%s reaped=%" PRIu64, c->name, s->n_reaped);
    }
    remove_client(s, c);
}

static enum status check_hello(const struct msg_hello *m, struct err *err)
{
    if (m->protocol != MSG_VERSION)
        return err_set(err, ST_VERSION, "client speaks protocol %u, this store %d", m->protocol,
                       MSG_VERSION);
    if (m->page_tokens != PAGE_TOKENS)
        return err_set(err, ST_VERSION, "client has pages of %u tokens, this store of %d",
                       m->page_tokens, PAGE_TOKENS);
    if (m->layout_id != KV_LAYOUT_ID)
        return err_set(err, ST_VERSION, "client has page layout %u, this store %d", m->layout_id,
                       KV_LAYOUT_ID);
    return ST_OK;
}

/* Ties the channel's peer to the door that its token came through. */
static enum status attach(struct store *s, const char *peer, const struct msg *request,
                          struct client **out, struct err *err)
{
    const struct msg_hello *m = &request->hello;
    struct client *c = find_token(s, m->door_token);
    enum status st = check_hello(m, err);

    if (st != ST_OK)
        return st;
    if (!c || c->is_attached)
        return err_set(err, ST_NOT_FOUND, "no open door waits for this token");
    if (strlen(peer) >= sizeof c->peer)
        return err_set(err, ST_INVALID, "the channel's name is longer than %zu bytes",
                       sizeof c->peer - 1);
    if (request->request == 0)
        return err_set(err, ST_INVALID, "request number 0; they start at 1");
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    snprintf(c->name, sizeof c->name, "%s", m->client);
    for (char *p = c->name; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?'; /* it goes into log lines */
    c->is_attached = true;
    log_info(LOG_KV, "hello client=%s clients=%u", c->name, s->n_clients);
    *out = c;
    return ST_OK;
}

static void fill_error(struct store *s, struct msg *reply, enum status st, const struct err *err)
{
    uint64_t request = reply->request;

    s->n_refused++;
    msg_release(reply);
    *reply = (struct msg){.verb = MSG_ERROR, .request = request, .epoch = s->epoch};
    reply->error.status = st;
    snprintf(reply->error.words, sizeof reply->error.words, "%.*s", MSG_TEXT - 1, err->text);
    log_debug(LOG_KV, "refused request=%" PRIu64 " status=%d words=%s", request, (int)st,
              reply->error.words);
}

static struct msg *use_scratch(struct store *s, const struct msg *request)
{
    msg_release(&s->scratch);
    s->scratch = (struct msg){.request = request->request};
    return &s->scratch;
}

static const struct msg *refuse(struct store *s, const struct msg *request, enum status st,
                                const struct err *err)
{
    struct msg *reply = use_scratch(s, request);

    fill_error(s, reply, st, err);
    return reply;
}

static const struct msg *say_bye(struct store *s, struct client *c, const struct msg *request)
{
    struct msg *reply = use_scratch(s, request);

    log_info(LOG_KV, "bye client=%s", c->name);
    remove_client(s, c);
    reply->verb = MSG_DONE;
    reply->epoch = s->epoch;
    return reply;
}

const struct msg *store_dispatch(struct store *s, const char *peer, const struct msg *request)
{
    struct client *c = find_peer(s, peer);
    const struct msg *kept = NULL;
    struct err err = {{0}};
    enum status st = ST_OK;
    struct msg *reply;

    s->n_requests++;
    log_debug(LOG_MSG, "request peer=%s verb=%s number=%" PRIu64, peer,
              msg_verb_name(request->verb), request->request);
    if (c)
        st = client_replay(c, request, &kept, &err);
    else if (request->verb == MSG_HELLO)
        st = attach(s, peer, request, &c, &err);
    else
        st = err_set(&err, ST_NOT_FOUND, "%s from a stranger: HELLO comes first",
                     msg_verb_name(request->verb));
    if (st != ST_OK)
        return refuse(s, request, st, &err);
    if (kept)
        return kept;
    if (request->verb != MSG_HELLO && request->epoch != s->epoch)
        st = err_set(&err, ST_STALE, "epoch %016" PRIx64 " is not this store's %016" PRIx64,
                     request->epoch, s->epoch);
    if (st == ST_OK && request->verb == MSG_BYE)
        return say_bye(s, c, request);
    reply = client_new_reply(c, request);
    if (st == ST_OK)
        st = store_verb(s, c, request, reply, &err);
    if (st != ST_OK)
        fill_error(s, reply, st, &err);
    reply->epoch = s->epoch;
    return reply;
}

struct msg_stats store_stats(const struct store *s)
{
    const struct arena *a = &s->arena;
    struct msg_stats stats = {
        .arena_bytes = a->size_bytes,
        .used_bytes = a->size_bytes - a->free_bytes - a->reserved_bytes,
        .reserved_bytes = a->reserved_bytes,
        .free_bytes = a->free_bytes,
        .n_seqs = s->seqs.n_used,
        .n_leases = s->leases.n_used,
        .n_reservations = s->reservations.n_used,
        .n_requests = s->n_requests,
        .n_refused = s->n_refused,
        .n_checksum_failures = s->n_checksum_failures,
        .n_reaped_clients = s->n_reaped,
    };

    for (uint32_t i = 0; i < s->n_clients; i++)
        stats.n_clients += s->client[i]->is_attached;
    for (uint32_t i = 0; i < s->seqs.n_slots; i++) {
        const struct seq *seq = id_table_slot(&s->seqs, i);
        if (seq)
            stats.n_pages += (uint64_t)seq->n_pages * seq_n_lists(seq);
    }
    return stats;
}
