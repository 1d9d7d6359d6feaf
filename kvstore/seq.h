/*
 * seq.h - a sequence: its pages, its blob, and the two kinds of hold on it.
 *
 * A reservation is room that its client writes before COMMIT; a lease keeps
 * committed bytes where they are whatever becomes of the sequence. Both belong
 * to one client. At most one reservation is open per sequence.
 */
#ifndef KVSTORE_SEQ_H
#define KVSTORE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/status.h"
#include "kvstore/extent.h"
#include "kvstore/page_list.h"

struct seq {
    uint64_t id;
    uint64_t owner; /* the client that made it; only it may write, unless it is kept */
    bool keep;
    uint32_t first_layer, n_layers; /* layers first_layer .. n_layers-1 */
    uint32_t format;
    uint64_t page_bytes;
    uint32_t n_pages;       /* committed columns */
    uint64_t generation;    /* raised by TRUNCATE */
    uint64_t reservation;   /* 0: none is open */
    struct page_list *list; /* [n_layers - first_layer], owned */
    struct extent *blob;    /* NULL: none */
    uint64_t blob_bytes, blob_checksum;
    bool blob_sealed;
};

struct reservation {
    uint64_t id, client, seq;
    uint32_t n_columns;
    uint32_t n_lists;
    struct page_list *list; /* [n_lists], owned */
};

struct lease {
    uint64_t id, client, seq;
    uint32_t n_extents;
    struct extent **extent; /* [n_extents], held */
};

/* ST_INVALID names the field, ST_NO_SPACE if the blob does not fit. id and owner
 * are the caller's to set. */
enum status seq_open(struct seq **out, const struct msg_create_seq *what, struct arena *arena,
                     struct err *err);
/* A sealed blob is shared too; of one that is not, the fork has none. */
enum status seq_fork(struct seq **out, const struct seq *from, const struct msg_fork_seq *what,
                     struct err *err);
void seq_close(struct seq *seq, struct arena *arena); /* NULL is fine */

static inline uint32_t seq_n_lists(const struct seq *seq)
{
    return seq->n_layers - seq->first_layer;
}

/* ST_INVALID, ST_NO_SPACE. Sets seq->reservation only when the caller does. */
enum status reservation_open(struct reservation **out, const struct seq *seq, uint32_t n_columns,
                             struct arena *arena, struct err *err);
/* Moves the pages to the sequence with their checksums; what->n_checksums and
 * the blob are checked first: nothing changes on ST_INVALID. */
enum status reservation_commit(struct reservation *r, struct seq *seq,
                               const struct msg_commit *what, struct arena *arena, struct err *err);
void reservation_close(struct reservation *r, struct arena *arena); /* NULL is fine */

struct lease *lease_open(const struct seq *seq);
void lease_close(struct lease *lease, struct arena *arena); /* NULL is fine */

/* Fills `map` with all pages, or with those of `r` if it is not NULL. map->run is
 * owned by the map. The lease field is the caller's. */
void seq_map(const struct seq *seq, const struct reservation *r, struct msg_page_map *map);

/* Compares pages below n_pages of layers >= first_layer, and a sealed blob, with
 * their checksums. ST_CORRUPT names layer and page. */
enum status seq_verify(const struct seq *seq, uint32_t first_layer, uint32_t n_pages,
                       const void *base, struct err *err);

#endif
