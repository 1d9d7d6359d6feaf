/*
 * store.h - the store without its sockets: requests in, replies out.
 *
 * One thread. Clients are known by the token of their door; the server says
 * when a door opens and closes, and hands every message to store_dispatch.
 * Whatever a message holds, the answer is a reply; the store goes on.
 */
#ifndef KVSTORE_STORE_H
#define KVSTORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/status.h"
#include "kvstore/arena.h"
#include "kvstore/client.h"
#include "kvstore/id_table.h"
#include "kvstore/seq.h"

enum { STORE_MAX_CLIENTS = 64 };

struct store_args {
    const void *base; /* the arena, borrowed until store_release; only read */
    uint64_t size_bytes;
    uint64_t epoch;             /* not 0; different for every store process */
    struct msg_welcome welcome; /* what HELLO tells; epoch and arena_bytes are filled in */
};

struct store {
    const void *base;
    uint64_t epoch;
    struct msg_welcome welcome;
    bool is_draining; /* nothing new is opened */
    struct arena arena;
    struct id_table seqs, leases, reservations;
    uint32_t n_clients;
    struct client *client[STORE_MAX_CLIENTS]; /* owned */
    uint64_t n_doors;                         /* ever opened */
    uint64_t n_requests, n_refused, n_checksum_failures, n_reaped;
    struct msg scratch; /* the reply to one who is no client (any more) */
};

void store_init(struct store *s, const struct store_args *args);
void store_release(struct store *s);

/* A door was opened: *token goes out through it. ST_NO_SPACE with
 * STORE_MAX_CLIENTS open. */
enum status store_door_open(struct store *s, uint64_t *token, struct err *err);
/* The door's client is gone: its leases are released, its reservations aborted,
 * its sequences dropped unless they are kept. A kept one whose blob it left
 * unsealed is a snapshot half made, and is dropped too. Unknown tokens are fine
 * (a client that said BYE). */
void store_door_closed(struct store *s, uint64_t token);
/* Token of the client that speaks over this channel, 0 if there is none. */
uint64_t store_peer_token(const struct store *s, const char *peer);

/* The reply to one request; borrowed until the next call. */
const struct msg *store_dispatch(struct store *s, const char *peer, const struct msg *request);

struct msg_stats store_stats(const struct store *s);

#endif
