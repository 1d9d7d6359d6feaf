/*
 * kv_view.h - the pages of one layer that attention reads, in any mix.
 *
 * A view is two arrays of page pointers (device memory), indexed by page =
 * token / PAGE_TOKENS. `sealed` pages have `sealed_format`, `tail` pages
 * `tail_format` (f16, or f32 for proofs). Either may be NULL at an index, not
 * both below the highest page that a row sees.
 *
 * A row with `limit` visible tokens (0 .. limit-1) reads page p
 *     sealed   if sealed[p] != NULL and (p + 2 <= (limit - 1) / PAGE_TOKENS
 *              or tail[p] == NULL)
 *     tail     otherwise.
 * So what a row sees depends on its absolute position only, not on gamma or on
 * what else is in the batch: exactness of the quantized methods rests on this.
 */
#ifndef KERNELS_KV_VIEW_H
#define KERNELS_KV_VIEW_H

#include "kernels/kv_format.h"

struct kv_view {
    struct kv_shape shape;
    enum kv_format sealed_format, tail_format;
    uint32_t n_pages;
    const void *const *sealed; /* [n_pages], borrows for the call */
    const void *const *tail;   /* [n_pages], borrows for the call */
};

/* True if the row with `limit` visible tokens reads page p sealed. */
static inline bool kv_view_reads_sealed(const struct kv_view *view, uint32_t page, uint32_t limit)
{
    if (view->sealed[page] == NULL)
        return false;
    return view->tail[page] == NULL || page + 2 <= (limit - 1) / PAGE_TOKENS;
}

#endif
