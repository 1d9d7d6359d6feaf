/*
 * target_cache.h - the target's full KV of one trial: placed sealed pages, and
 * the tail of unquantized ones.
 *
 * The newest tokens of every layer lie in a tail of TAIL_PAGES pages. `end` is
 * the number of accepted tokens; a pass writes behind it, and what was rejected
 * is overwritten by the next pass. Only a full page of accepted tokens is
 * sealed, once.
 */
#ifndef VERIFY_WORKER_TARGET_CACHE_H
#define VERIFY_WORKER_TARGET_CACHE_H

#include "model/model.h"
#include "verify_worker/placement.h"

/* A pass spans at most MSG_MAX_ROWS tokens, so it touches at most two pages,
 * and the page before them may still be read unquantized. */
enum { TAIL_PAGES = 4 };

struct target_cache; /* owns its tail; borrows the placement */

/* Starts at the end of the snapshot's prompt; max_tokens bounds `end` plus one
 * pass. The snapshot is borrowed for the call. */
enum status target_cache_open(struct target_cache **out, struct device *dev, struct model *model,
                              struct placement *placement, const struct snapshot *snapshot,
                              uint32_t max_tokens, struct err *err);
void target_cache_close(struct target_cache *c); /* NULL is fine */

/* Accepted tokens whose KV stands. */
uint32_t target_cache_end(const struct target_cache *c);

/* A pass of n_rows tokens at positions end .. end + n_rows - 1: between begin
 * and accept the model's forward pass uses target_cache_interface(). */
void target_cache_begin(struct target_cache *c, uint32_t n_rows);
struct model_cache target_cache_interface(struct target_cache *c);
/* The first n_tokens rows of the pass are accepted: moves `end`, seals pages
 * that became full. */
enum status target_cache_accept(struct target_cache *c, uint32_t n_tokens, struct err *err);
/* Lets the link work for the next pass, of n_rows rows. */
enum status target_cache_stream_ahead(struct target_cache *c, uint32_t n_rows, struct err *err);

/* The layer's pages as the row at end - 1 reads them, for set-up work on the
 * prompt before the first pass. Borrows until the next call. */
enum status target_cache_view(struct target_cache *c, uint32_t layer, struct kv_view *out,
                              struct err *err);
/* The layer's tail alone, indexed by absolute page: accepted tokens
 * unquantized. */
void target_cache_tail_view(struct target_cache *c, uint32_t layer, struct kv_view *out);

size_t target_cache_tail_bytes(const struct target_cache *c);

#endif
