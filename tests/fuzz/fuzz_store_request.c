/*
 * Requests of two clients, cut from the fuzzer's bytes: whatever they say, the
 * store answers each, and its sums hold.
 *
 * A request is: verb, client, length of the body, body. The header is written
 * here, so that the fuzzer need not guess an epoch; numbers below N_RECENT name
 * the newest sequences and holds, which it could not guess either.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena_size.h"
#include "common/mem.h"
#include "kernels/kv_format.h"
#include "kvstore/store.h"

enum { EPOCH = 7, N_CLIENTS = 2, N_RECENT = 16, ARENA_UNITS = 8, MAX_BODY = 255 };
enum { AT_VERB = 6, AT_LENGTH = 24 }; /* of the message header, common/msg.c */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

struct fuzz {
    struct store store;
    uint64_t token[N_CLIENTS], n_requests;
    uint64_t recent[N_RECENT]; /* sequences, reservations and leases */
    uint32_t n_recent;
};

static const char *const peers[N_CLIENTS] = {"a", "b"};

static void put(uint8_t *at, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static void remember(struct fuzz *f, uint64_t id)
{
    f->recent[f->n_recent++ % N_RECENT] = id;
}

/* Every id field of a store verb is its first. */
static void swap_id(struct fuzz *f, struct msg *m)
{
    uint64_t *id = NULL;

    switch (m->verb) {
    case MSG_FORK_SEQ:
    case MSG_RESERVE:
    case MSG_ACQUIRE:
    case MSG_TRUNCATE:
    case MSG_DROP_SEQ:
        id = &m->reserve.seq;
        break;
    case MSG_COMMIT:
    case MSG_ABORT:
    case MSG_RELEASE:
        id = &m->abort.lease;
        break;
    default:
        return;
    }
    if (*id < N_RECENT)
        *id = f->recent[*id];
}

static void check_reply(struct fuzz *f, const struct msg *request, const struct msg *reply)
{
    struct msg_stats s = store_stats(&f->store);
    uint8_t *packed = NULL;
    size_t n_packed;

    CHECK(reply->request == request->request);
    CHECK(s.used_bytes + s.reserved_bytes + s.free_bytes == s.arena_bytes);
    CHECK(msg_pack(reply, &packed, &n_packed, NULL) == ST_OK); /* every reply can be sent */
    free(packed);
    if (reply->verb == MSG_SEQ)
        remember(f, reply->seq.seq);
    if (reply->verb == MSG_RESERVED || reply->verb == MSG_PAGE_MAP)
        remember(f, reply->page_map.lease);
}

static void send_one(struct fuzz *f, uint32_t who, const uint8_t *bytes, size_t n_bytes)
{
    struct msg request = {0};

    if (msg_unpack(&request, bytes, n_bytes, NULL) != ST_OK)
        return;
    swap_id(f, &request);
    check_reply(f, &request, store_dispatch(&f->store, peers[who], &request));
    msg_release(&request);
}

static void join(struct fuzz *f, uint32_t who)
{
    struct msg m = {.verb = MSG_HELLO,
                    .request = ++f->n_requests,
                    .hello = {.protocol = MSG_VERSION,
                              .page_tokens = PAGE_TOKENS,
                              .layout_id = KV_LAYOUT_ID,
                              .client = "fuzz"}};

    CHECK(store_door_open(&f->store, &f->token[who], NULL) == ST_OK);
    m.hello.door_token = f->token[who];
    CHECK(store_dispatch(&f->store, peers[who], &m)->verb == MSG_WELCOME);
}

/* A packed PING with the verb and length put over it; `how` 6 spoils the epoch, 7
 * repeats the last number. */
static size_t frame(struct fuzz *f, const uint8_t *head, const uint8_t *body, size_t n_body,
                    uint8_t *out)
{
    uint32_t how = head[1] / N_CLIENTS % 8;
    struct msg ping = {.verb = MSG_PING, .epoch = EPOCH + (how == 6)};
    uint8_t *packed = NULL;
    size_t n_packed;

    f->n_requests += how != 7;
    ping.request = f->n_requests;
    CHECK(msg_pack(&ping, &packed, &n_packed, NULL) == ST_OK);
    memcpy(out, packed, MSG_HEADER_BYTES);
    free(packed);
    put(out + AT_VERB, head[0] % MSG_VERB_COUNT, 2);
    put(out + AT_LENGTH, n_body, 4);
    memcpy(out + MSG_HEADER_BYTES, body, n_body);
    return MSG_HEADER_BYTES + n_body;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static uint8_t *arena;
    uint8_t message[MSG_HEADER_BYTES + MAX_BODY];
    struct store_args args = {.size_bytes = ARENA_UNITS * ARENA_EXTENT_BYTES, .epoch = EPOCH};
    struct fuzz f = {0};

    if (!arena)
        arena = mem_aligned(4096, args.size_bytes);
    args.base = arena;
    store_init(&f.store, &args);
    for (uint32_t i = 0; i < N_CLIENTS; i++)
        join(&f, i);
    while (n_bytes >= 3) {
        uint32_t who = bytes[1] % N_CLIENTS;
        size_t n_body = bytes[2] < n_bytes - 3 ? bytes[2] : n_bytes - 3;
        size_t n = frame(&f, bytes, bytes + 3, n_body, message);
        send_one(&f, who, message, n);
        if (bytes[1] >= 250 || store_peer_token(&f.store, peers[who]) == 0) {
            store_door_closed(&f.store, f.token[who]);
            join(&f, who);
        }
        bytes += 3 + n_body;
        n_bytes -= 3 + n_body;
    }
    for (uint32_t i = 0; i < N_CLIENTS; i++)
        store_door_closed(&f.store, f.token[i]);
    CHECK(store_stats(&f.store).n_leases == 0 && store_stats(&f.store).n_reservations == 0);
    store_release(&f.store);
    return 0;
}
