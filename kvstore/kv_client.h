/*
 * kv_client.h - a worker's end of the store: maps the arena, speaks the verbs.
 *
 * Pages are read and written in place through the worker's own mapping; the
 * store only keeps who owns what. One client belongs to one thread. Every call
 * waits for its answer (at most 10 s: ST_TIMEOUT); ST_CLOSED when the store
 * died. ST_NO_SPACE means that the arena is full: the words say how full.
 */
#ifndef KVSTORE_KV_CLIENT_H
#define KVSTORE_KV_CLIENT_H

#include "common/msg.h"
#include "common/rundir.h"
#include "common/status.h"

struct kv_client; /* owns mapping, channel and door */

/* Connects to the store of this run directory: door, arena descriptor, HELLO
 * with this build's page size and layout. ST_VERSION when they differ. */
enum status kv_client_open(struct kv_client **out, const struct rundir *dir, const char *name,
                           struct err *err);
void kv_client_close(struct kv_client *c); /* says BYE; NULL is fine */

/* The arena, for registration with a device. */
void *kv_client_base(const struct kv_client *c);
uint64_t kv_client_bytes(const struct kv_client *c);
const struct msg_welcome *kv_client_welcome(const struct kv_client *c);
/* Readable when the store has died. Borrows until close. */
int kv_client_door(const struct kv_client *c);

enum status kv_client_create(struct kv_client *c, const struct msg_create_seq *what,
                             struct msg_seq *out, struct err *err);
enum status kv_client_fork(struct kv_client *c, const struct msg_fork_seq *what,
                           struct msg_seq *out, struct err *err);

/* Room for n_columns more pages of every layer. Write them, then commit. The
 * map holds the new pages only; kv_map_release it. */
enum status kv_client_reserve(struct kv_client *c, uint64_t seq, uint32_t n_columns,
                              struct msg_page_map *out, struct err *err);
/* Computes the checksums of the reserved pages (and of the blob if seal_blob) from the
 * mapping and commits all of them. */
enum status kv_client_commit(struct kv_client *c, const struct msg_page_map *reserved,
                             bool seal_blob, struct err *err);
enum status kv_client_abort(struct kv_client *c, uint64_t lease, struct err *err);

/* A lease on all committed pages. verify: checksums are checked by the store
 * first; ST_CORRUPT names layer and page. */
enum status kv_client_acquire(struct kv_client *c, uint64_t seq, bool verify,
                              struct msg_page_map *out, struct err *err);
enum status kv_client_release(struct kv_client *c, uint64_t lease, struct err *err);
enum status kv_client_truncate(struct kv_client *c, uint64_t seq, uint32_t n_pages,
                               struct err *err);
enum status kv_client_drop(struct kv_client *c, uint64_t seq, struct err *err);
enum status kv_client_stats(struct kv_client *c, struct msg_stats *out, struct err *err);
enum status kv_client_ping(struct kv_client *c, struct err *err);

/* Fills page[i] with the address of page first + i of `layer` for i < n; a page
 * outside the map is NULL. `map` must come from this client. */
void kv_client_pages(const struct kv_client *c, const struct msg_page_map *map, uint32_t layer,
                     uint32_t first, uint32_t n, void **page);
void kv_map_release(struct msg_page_map *map);

#endif
