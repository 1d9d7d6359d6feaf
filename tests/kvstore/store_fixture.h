/*
 * store_fixture.h - a store over plain memory, and clients that speak to it by
 * store_dispatch alone.
 */
#ifndef TESTS_KVSTORE_STORE_FIXTURE_H
#define TESTS_KVSTORE_STORE_FIXTURE_H

#include "tests/test_helpers.h"

#include <xxhash.h>

#include "common/arena_size.h"
#include "common/mem.h"
#include "kernels/kv_format.h"
#include "kvstore/store.h"

enum { FIXTURE_EPOCH = 0x1234 };

struct fixture {
    struct store store;
    uint8_t *base;
    uint64_t n_requests;
};

struct fixture_client {
    struct fixture *f;
    uint64_t token;
    char peer[CHAN_MAX_NAME];
    const struct msg *reply; /* to the last request; borrowed */
    struct msg sent;         /* the last request, for repeats; borrows its arrays */
};

static inline void fixture_open(struct fixture *f, uint64_t size_bytes)
{
    *f = (struct fixture){.base = mem_aligned(4096, size_bytes)};
    struct store_args args = {.base = f->base, .size_bytes = size_bytes, .epoch = FIXTURE_EPOCH};
    store_init(&f->store, &args);
}

static inline void fixture_close(struct fixture *f)
{
    store_release(&f->store);
    free(f->base);
}

/* The status of the reply; c->reply holds the rest. */
static inline enum status ask(struct fixture_client *c, struct msg msg)
{
    msg.request = ++c->f->n_requests;
    msg.epoch = FIXTURE_EPOCH;
    c->sent = msg;
    c->reply = store_dispatch(&c->f->store, c->peer, &msg);
    assert_int_equal(c->reply->request, msg.request);
    return c->reply->verb == MSG_ERROR ? (enum status)c->reply->error.status : ST_OK;
}

static inline struct msg hello_msg(uint64_t token)
{
    return (struct msg){.verb = MSG_HELLO,
                        .hello = {.protocol = MSG_VERSION,
                                  .door_token = token,
                                  .page_tokens = PAGE_TOKENS,
                                  .layout_id = KV_LAYOUT_ID,
                                  .client = "test"}};
}

static inline void join(struct fixture_client *c, struct fixture *f, const char *peer)
{
    *c = (struct fixture_client){.f = f};
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    assert_int_equal(store_door_open(&f->store, &c->token, NULL), ST_OK);
    assert_int_equal(ask(c, hello_msg(c->token)), ST_OK);
    assert_int_equal(c->reply->verb, MSG_WELCOME);
}

static inline uint64_t create(struct fixture_client *c, struct msg_create_seq what)
{
    assert_int_equal(ask(c, (struct msg){.verb = MSG_CREATE_SEQ, .create_seq = what}), ST_OK);
    assert_int_equal(c->reply->verb, MSG_SEQ);
    return c->reply->seq.seq;
}

static inline enum status reserve(struct fixture_client *c, uint64_t seq, uint32_t n)
{
    return ask(c, (struct msg){.verb = MSG_RESERVE, .reserve = {.seq = seq, .n_columns = n}});
}

static inline enum status commit(struct fixture_client *c, uint64_t lease, uint64_t *checksum,
                                 uint32_t n)
{
    return ask(c, (struct msg){.verb = MSG_COMMIT,
                               .commit = {.lease = lease, .checksum = checksum, .n_checksums = n}});
}

static inline enum status acquire(struct fixture_client *c, uint64_t seq, bool verify)
{
    return ask(c, (struct msg){.verb = MSG_ACQUIRE, .acquire = {.seq = seq, .verify = verify}});
}

static inline enum status fork_seq(struct fixture_client *c, uint64_t seq, uint32_t first_layer,
                                   uint32_t n_pages)
{
    return ask(
        c, (struct msg){.verb = MSG_FORK_SEQ,
                        .fork_seq = {.seq = seq, .first_layer = first_layer, .n_pages = n_pages}});
}

static inline enum status truncate_seq(struct fixture_client *c, uint64_t seq, uint32_t n)
{
    return ask(c, (struct msg){.verb = MSG_TRUNCATE, .truncate = {.seq = seq, .n_pages = n}});
}

static inline enum status drop_seq(struct fixture_client *c, uint64_t seq)
{
    return ask(c, (struct msg){.verb = MSG_DROP_SEQ, .drop_seq = {.seq = seq}});
}

static inline enum status release(struct fixture_client *c, uint64_t lease)
{
    return ask(c, (struct msg){.verb = MSG_RELEASE, .release = {.lease = lease}});
}

/* Offset of a page in a map, UINT64_MAX if it is not in it. */
static inline uint64_t page_offset(const struct msg_page_map *map, uint32_t layer, uint32_t page)
{
    for (uint32_t i = 0; i < map->n_runs; i++) {
        const struct msg_page_run *r = &map->run[i];
        if (r->layer == layer && page >= r->first_page && page - r->first_page < r->n_pages)
            return r->offset + (page - r->first_page) * map->page_bytes;
    }
    return UINT64_MAX;
}

/* Reserves n columns, writes `value` + layer into their bytes, commits them. */
static inline void write_columns(struct fixture_client *c, uint64_t seq, uint32_t n, int value,
                                 bool seal_blob)
{
    uint64_t *checksum, lease;
    uint32_t n_lists, at = 0;
    const struct msg_page_map *map;
    struct msg request;

    assert_int_equal(reserve(c, seq, n), ST_OK);
    map = &c->reply->page_map;
    lease = map->lease;
    n_lists = map->n_layers - map->first_layer;
    checksum = mem_array((size_t)n * n_lists, sizeof *checksum);
    for (uint32_t column = 0; column < n; column++)
        for (uint32_t layer = map->first_layer; layer < map->n_layers; layer++) {
            uint8_t *page = c->f->base + page_offset(map, layer, map->n_pages + column);
            memset(page, value + (int)layer, map->page_bytes);
            checksum[at++] = XXH3_64bits(page, map->page_bytes);
        }
    request = (struct msg){.verb = MSG_COMMIT,
                           .commit = {.lease = lease, .checksum = checksum, .n_checksums = at}};
    if (seal_blob) {
        request.commit.blob = true;
        request.commit.blob_checksum = XXH3_64bits(c->f->base + map->blob_offset, map->blob_bytes);
    }
    assert_int_equal(ask(c, request), ST_OK);
    free(checksum);
}

static inline void assert_sums(const struct fixture *f)
{
    struct msg_stats s = store_stats(&f->store);

    assert_int_equal(s.used_bytes + s.reserved_bytes + s.free_bytes, s.arena_bytes);
}

#endif
