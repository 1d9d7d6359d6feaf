#include "text/bpe_merge.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct bpe_candidate {
    uint64_t key;  /* rank, then the left symbol's number: lower goes first */
    uint32_t size; /* bytes of both symbols, to recognise a stale candidate */
    int32_t merged;
};

void bpe_pairs_init(struct bpe_pairs *pairs)
{
    *pairs = (struct bpe_pairs){0};
}

void bpe_pairs_release(struct bpe_pairs *pairs)
{
    free(pairs->slot);
    bpe_pairs_init(pairs);
}

static struct bpe_pair *pair_slot(const struct bpe_pairs *pairs, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint32_t mask = pairs->n_slots - 1;
    uint32_t at = (uint32_t)((key * 0x9E3779B97F4A7C15u) >> 32) & mask; /* Fibonacci hashing */

    while (pairs->slot[at].left >= 0 &&
           (pairs->slot[at].left != left || pairs->slot[at].right != right))
        at = (at + 1) & mask;
    return &pairs->slot[at];
}

static void grow_pairs(struct bpe_pairs *pairs)
{
    struct bpe_pairs bigger = {.n_slots = pairs->n_slots ? 2 * pairs->n_slots : 1024,
                               .n = pairs->n};

    bigger.slot = mem_array(bigger.n_slots, sizeof *bigger.slot);
    for (uint32_t i = 0; i < bigger.n_slots; i++)
        bigger.slot[i].left = -1;
    for (uint32_t i = 0; i < pairs->n_slots; i++)
        if (pairs->slot[i].left >= 0)
            *pair_slot(&bigger, pairs->slot[i].left, pairs->slot[i].right) = pairs->slot[i];
    free(pairs->slot);
    *pairs = bigger;
}

bool bpe_pairs_add(struct bpe_pairs *pairs, const struct bpe_pair *pair)
{
    struct bpe_pair *slot;

    CHECK(pair->left >= 0 && pair->right >= 0);
    if (2 * (pairs->n + 1) > pairs->n_slots)
        grow_pairs(pairs);
    slot = pair_slot(pairs, pair->left, pair->right);
    if (slot->left >= 0)
        return false;
    *slot = *pair;
    pairs->n++;
    return true;
}

void bpe_run_init(struct bpe_run *run)
{
    *run = (struct bpe_run){0};
}

void bpe_run_release(struct bpe_run *run)
{
    free(run->symbol);
    free(run->heap);
    bpe_run_init(run);
}

void bpe_run_clear(struct bpe_run *run)
{
    run->n = 0;
    run->n_heap = 0;
}

void bpe_run_push(struct bpe_run *run, uint32_t start, uint32_t len, int32_t id, bool frozen)
{
    int32_t at = (int32_t)run->n;

    if (run->n == run->cap) {
        CHECK(run->cap < INT32_MAX / 2);
        run->cap = run->cap ? 2 * run->cap : 64;
        run->symbol = mem_resize(run->symbol, run->cap, sizeof *run->symbol);
    }
    if (at > 0)
        run->symbol[at - 1].next = at;
    run->symbol[run->n++] = (struct bpe_symbol){
        .start = start, .len = len, .id = id, .prev = at - 1, .next = -1, .frozen = frozen};
}

static void heap_push(struct bpe_run *run, struct bpe_candidate c)
{
    uint32_t at = run->n_heap;

    if (run->n_heap == run->cap_heap) {
        CHECK(run->cap_heap < UINT32_MAX / 2);
        run->cap_heap = run->cap_heap ? 2 * run->cap_heap : 64;
        run->heap = mem_resize(run->heap, run->cap_heap, sizeof *run->heap);
    }
    run->n_heap++;
    for (; at > 0 && run->heap[(at - 1) / 2].key > c.key; at = (at - 1) / 2)
        run->heap[at] = run->heap[(at - 1) / 2];
    run->heap[at] = c;
}

static struct bpe_candidate heap_pop(struct bpe_run *run)
{
    struct bpe_candidate top = run->heap[0], last = run->heap[--run->n_heap];
    uint32_t at = 0, child;

    while ((child = 2 * at + 1) < run->n_heap) {
        if (child + 1 < run->n_heap && run->heap[child + 1].key < run->heap[child].key)
            child++;
        if (run->heap[child].key >= last.key)
            break;
        run->heap[at] = run->heap[child];
        at = child;
    }
    run->heap[at] = last;
    return top;
}

/* Looks for what symbol `left` and its right neighbour become. */
static void consider(struct bpe_run *run, const struct bpe_rules *rules, const char *text,
                     int32_t left)
{
    const struct bpe_symbol *l = &run->symbol[left], *r;
    const struct vocab_entry *entry;
    const struct bpe_pair *pair;
    struct bpe_candidate c;
    uint32_t rank;

    if (l->next < 0)
        return;
    r = &run->symbol[l->next];
    if (l->frozen || r->frozen)
        return;
    c.size = l->len + r->len;
    if (rules->pairs != NULL) {
        if (rules->pairs->n == 0 || l->id < 0 || r->id < 0)
            return;
        pair = pair_slot(rules->pairs, l->id, r->id);
        if (pair->left < 0)
            return;
        c.merged = pair->merged;
        rank = pair->rank;
    } else {
        c.merged = vocab_find(rules->vocab, text + l->start, c.size);
        entry = vocab_at(rules->vocab, c.merged);
        if (entry == NULL || (entry->kind != VOCAB_NORMAL && entry->kind != VOCAB_USER))
            return;
        rank = entry->order;
    }
    c.key = (uint64_t)rank << 32 | (uint32_t)left;
    heap_push(run, c);
}

void bpe_merge(struct bpe_run *run, const struct bpe_rules *rules, const char *text)
{
    for (uint32_t i = 0; i + 1 < run->n; i++)
        consider(run, rules, text, (int32_t)i);
    while (run->n_heap > 0) {
        struct bpe_candidate c = heap_pop(run);
        int32_t left = (int32_t)(uint32_t)c.key;
        struct bpe_symbol *l = &run->symbol[left], *r;

        /* Symbols only grow, so an unchanged size of both means the same two. */
        if (l->len == 0 || l->next < 0)
            continue;
        r = &run->symbol[l->next];
        if (l->len + r->len != c.size)
            continue;
        l->len = c.size;
        l->id = c.merged;
        l->next = r->next;
        r->len = 0;
        if (l->next >= 0)
            run->symbol[l->next].prev = left;
        if (l->prev >= 0)
            consider(run, rules, text, l->prev);
        consider(run, rules, text, left);
    }
}
