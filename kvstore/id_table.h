/*
 * id_table.h - numbers for things that come and go, which clients may quote.
 *
 * A number is (serial << 20 | kind << 16 | slot) and is never used twice, so a
 * stale or invented one is found out in one step, and a number of one kind is
 * unknown to the table of another. 0 is never a number.
 */
#ifndef KVSTORE_ID_TABLE_H
#define KVSTORE_ID_TABLE_H

#include <stdint.h>

#include "common/status.h"

enum { ID_TABLE_MAX = 1 << 16 };

enum id_kind { ID_SEQ = 1, ID_LEASE = 2, ID_RESERVATION = 3 };

struct id_table {
    enum id_kind kind;
    uint64_t serial;
    uint32_t n_slots, n_used, first_free; /* no slot below first_free is free */
    uint64_t *id;                         /* [n_slots]; 0: free */
    void **item;                          /* [n_slots]; borrowed, the caller owns the items */
};

void id_table_init(struct id_table *t, enum id_kind kind);
void id_table_release(struct id_table *t);

/* ST_NO_SPACE with ID_TABLE_MAX items in it. */
enum status id_table_add(struct id_table *t, void *item, uint64_t *id, struct err *err);
void *id_table_find(const struct id_table *t, uint64_t id); /* NULL: unknown */
void id_table_remove(struct id_table *t, uint64_t id);      /* must be there */
/* Item of a slot below n_slots, NULL if it is free: to walk over all. */
void *id_table_slot(const struct id_table *t, uint32_t slot);

#endif
