#include "kvstore/id_table.h"

#include <stdlib.h>

#include "common/mem.h"

enum { SLOT_BITS = 16, KIND_BITS = 4 };

void id_table_init(struct id_table *t, enum id_kind kind)
{
    *t = (struct id_table){.kind = kind};
}

void id_table_release(struct id_table *t)
{
    free(t->id);
    free(t->item);
    *t = (struct id_table){.kind = t->kind};
}

static void grow(struct id_table *t)
{
    uint32_t n = t->n_slots ? t->n_slots * 2 : 16;

    t->id = mem_resize(t->id, n, sizeof *t->id);
    t->item = mem_resize(t->item, n, sizeof *t->item);
    for (uint32_t i = t->n_slots; i < n; i++) {
        t->id[i] = 0;
        t->item[i] = NULL;
    }
    t->n_slots = n;
}

enum status id_table_add(struct id_table *t, void *item, uint64_t *id, struct err *err)
{
    uint32_t slot = t->first_free;

    CHECK(item);
    if (t->n_used == ID_TABLE_MAX)
        return err_set(err, ST_NO_SPACE, "%d of a kind are open already, the most the store keeps",
                       ID_TABLE_MAX);
    while (slot < t->n_slots && t->item[slot])
        slot++;
    if (slot == t->n_slots)
        grow(t);
    t->serial++;
    t->id[slot] = t->serial << (SLOT_BITS + KIND_BITS) | (uint64_t)t->kind << SLOT_BITS | slot;
    t->item[slot] = item;
    t->first_free = slot + 1;
    t->n_used++;
    *id = t->id[slot];
    return ST_OK;
}

void *id_table_find(const struct id_table *t, uint64_t id)
{
    uint32_t slot = (uint32_t)(id & ((1u << SLOT_BITS) - 1));

    if (id == 0 || slot >= t->n_slots || t->id[slot] != id)
        return NULL;
    return t->item[slot];
}

void id_table_remove(struct id_table *t, uint64_t id)
{
    uint32_t slot = (uint32_t)(id & ((1u << SLOT_BITS) - 1));

    CHECK(id_table_find(t, id));
    t->id[slot] = 0;
    t->item[slot] = NULL;
    t->n_used--;
    if (slot < t->first_free)
        t->first_free = slot;
}

void *id_table_slot(const struct id_table *t, uint32_t slot)
{
    CHECK(slot < t->n_slots);
    return t->item[slot];
}
