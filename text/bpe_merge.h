/*
 * bpe_merge.h - joins neighbouring symbols, best pair first, until none fits.
 *
 * A heap of candidates and a linked list of symbols: O(n log n), so that one
 * run of a megabyte without a space is as cheap per byte as prose. Equal
 * candidates are taken from left to right.
 */
#ifndef TEXT_BPE_MERGE_H
#define TEXT_BPE_MERGE_H

#include <stdint.h>

#include "common/status.h"
#include "text/vocab.h"

struct bpe_symbol {
    uint32_t start; /* byte offset in the text */
    uint32_t len;   /* bytes; 0 once a neighbour has taken this symbol in */
    int32_t id;     /* -1 while no piece is spelled so */
    int32_t prev;   /* symbol numbers, -1 at the ends */
    int32_t next;
    bool frozen; /* never merges */
};

/* What two ids become, and how early. */
struct bpe_pair {
    int32_t left;
    int32_t right;
    int32_t merged;
    uint32_t rank; /* lower goes first */
};

struct bpe_pairs {
    struct bpe_pair *slot; /* [n_slots] by hash, left < 0 free; owned */
    uint32_t n_slots;
    uint32_t n;
};

void bpe_pairs_init(struct bpe_pairs *pairs);
void bpe_pairs_release(struct bpe_pairs *pairs);
/* False when this pair of ids is there already; nothing is changed then. */
bool bpe_pairs_add(struct bpe_pairs *pairs, const struct bpe_pair *pair);

/* Room for one run, kept from word to word. */
struct bpe_candidate;
struct bpe_run {
    struct bpe_symbol *symbol; /* [n], owned */
    uint32_t n;
    uint32_t cap;
    struct bpe_candidate *heap; /* [n_heap], owned */
    uint32_t n_heap;
    uint32_t cap_heap;
};

void bpe_run_init(struct bpe_run *run);
void bpe_run_release(struct bpe_run *run);
void bpe_run_clear(struct bpe_run *run);
/* Appends a symbol that follows the last one. `len` > 0. */
void bpe_run_push(struct bpe_run *run, uint32_t start, uint32_t len, int32_t id, bool frozen);

/* How candidates are found: by `pairs`, or, where `pairs` is NULL, by looking
 * for a NORMAL or USER piece spelled like both symbols together, whose `order`
 * is then its rank. Both are borrowed for the call. */
struct bpe_rules {
    const struct vocab *vocab;
    const struct bpe_pairs *pairs;
};

/* Afterwards symbols with len > 0 are the result, in order. */
void bpe_merge(struct bpe_run *run, const struct bpe_rules *rules, const char *text);

#endif
