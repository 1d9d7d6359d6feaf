/*
 * store_model.h - what the oracle of the random walk knows of a store.
 */
#ifndef TESTS_KVSTORE_STORE_MODEL_H
#define TESTS_KVSTORE_STORE_MODEL_H

#include "tests/kvstore/store_fixture.h"

#define MIB2 ARENA_EXTENT_BYTES

enum { N_CLIENTS = 4, MAX_THINGS = 24, MAX_PAGES = 700, MAX_LAYERS = 4, UNITS = 40 };

struct model_seq {
    uint64_t id; /* 0: free */
    uint32_t owner, first_layer, n_layers, n_pages;
    uint64_t page_bytes;
    bool keep;
    uint64_t reservation;
    uint32_t n_reserved, reserver;
    uint64_t stamp[MAX_LAYERS][MAX_PAGES];
    struct msg_page_map reserved; /* with its own copy of the runs */
};

struct model_lease {
    uint64_t id;
    uint32_t client;
    struct msg_page_map map;
    uint64_t stamp[MAX_LAYERS][MAX_PAGES];
};

struct model {
    struct fixture f;
    struct fixture_client client[N_CLIENTS];
    struct model_seq seq[MAX_THINGS];
    struct model_lease lease[MAX_THINGS];
    uint64_t next_stamp, n_refused;
    uint32_t op;
};

/* With its own runs: free() them. */
static inline struct msg_page_map copy_map(const struct msg_page_map *map)
{
    struct msg_page_map copy = *map;

    copy.run = mem_array(map->n_runs, sizeof *copy.run);
    if (map->n_runs > 0)
        memcpy(copy.run, map->run, map->n_runs * sizeof *copy.run);
    return copy;
}

#endif
