/*
 * page_list.h - the pages of one layer of a sequence, in order, as spans of
 * extents.
 *
 * A list appends into its last extent while no other list holds it (a fork
 * never does) and no lease reaches the slots behind its end; else it opens new
 * extents. A span holds its extent once.
 */
#ifndef KVSTORE_PAGE_LIST_H
#define KVSTORE_PAGE_LIST_H

#include <stdint.h>

#include "common/msg.h"
#include "common/status.h"
#include "kvstore/arena.h"
#include "kvstore/extent.h"

struct page_span {
    struct extent *extent;
    uint32_t slot, n_pages;
};

struct page_list { /* zeroed: empty */
    uint32_t n_spans, cap;
    uint32_t n_pages;
    struct page_span *span; /* owned */
};

/* Lets go of every extent; the list is empty afterwards. */
void page_list_release(struct page_list *list, struct arena *arena);

/* Fills the empty `list` with n new slots that continue `base`: its room first,
 * then as few extents as the arena allows. ST_NO_SPACE leaves `list` empty. */
enum status page_list_reserve(struct page_list *list, const struct page_list *base, uint32_t n,
                              uint64_t page_bytes, struct arena *arena, struct err *err);
/* Moves what was reserved to the end of `base`, and settles it. */
void page_list_commit(struct page_list *base, struct page_list *reserved, struct arena *arena);

/* The empty `list` shares the first n pages of `from`; n <= from->n_pages. */
void page_list_share(struct page_list *list, const struct page_list *from, uint32_t n);
/* Keeps the first n pages; n <= n_pages. */
void page_list_truncate(struct page_list *list, uint32_t n, struct arena *arena);

/* Where page i < n_pages lies. */
struct page_span page_list_at(const struct page_list *list, uint32_t page);

/* Contiguous runs of the list; pages are numbered from first_page. Returns how
 * many there are and writes them if `run` is not NULL. */
uint32_t page_list_runs(const struct page_list *list, uint32_t layer, uint32_t first_page,
                        struct msg_page_run *run);

#endif
