/*
 * window_cache.h - the small draft's KV: attention sinks and a recent window,
 * un-rotated (window_attention.h), for one sequence.
 *
 * A slot is a pure function of the token's position, and the ring has slack
 * for the rows in flight, so rolling back needs nothing: rejected tokens are
 * overwritten when their positions come again.
 */
#ifndef DRAFT_WORKER_WINDOW_CACHE_H
#define DRAFT_WORKER_WINDOW_CACHE_H

#include "model/model.h"

/* Rows of one call, and tokens that may be rolled back, together. */
enum { WINDOW_SLACK = 64 };

struct window_cache; /* owns its memory; borrows device and model */

enum status window_cache_open(struct window_cache **out, struct device *dev, struct model *model,
                              uint32_t n_sinks, uint32_t n_window, struct err *err);
void window_cache_close(struct window_cache *c); /* NULL is fine */

struct model_cache window_cache_interface(struct window_cache *c);

/* First position that a prompt of n_tokens must be computed from, beside the
 * sinks, so that the cache at its end is exact: layer l of the window depends
 * on l further windows only. */
uint32_t window_cache_first_needed(const struct window_cache *c, uint32_t n_tokens);

uint32_t window_cache_n_sinks(const struct window_cache *c);
size_t window_cache_bytes(const struct window_cache *c);
/* State at a prompt's end, in host memory of window_cache_bytes. */
enum status window_cache_save(struct window_cache *c, void *host, struct err *err);
enum status window_cache_restore(struct window_cache *c, const void *host, struct err *err);

#endif
