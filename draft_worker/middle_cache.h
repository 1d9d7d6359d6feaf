/*
 * middle_cache.h - the middle level's view of the retrieval KV: selected prompt
 * tokens, then a recent region that it extends with its own guesses.
 *
 * A layer with a sliding window sees as many of the newest slots. Where the budget covers the
 * window those are exactly the tokens that the model sees, because the window's tokens are then
 * the last ones selected.
 *
 * The memory is verify's (pair_segment.h); the draft writes it only between
 * VERDICT and PROPOSE.
 */
#ifndef DRAFT_WORKER_MIDDLE_CACHE_H
#define DRAFT_WORKER_MIDDLE_CACHE_H

#include "model/model.h"

struct middle_cache; /* borrows device, model and memory */

struct middle_cache_args {
    struct device *dev;
    struct model *model;
    void *memory; /* pair_memory_retrieval; borrows until close */
    size_t memory_bytes;
    bool is_device_memory; /* of `memory` */
    enum kv_format format;
    uint32_t n_prompt, n_selected, layer_pages;
    uint32_t max_tokens; /* prompt + generated + proposal */
};

/* ST_CORRUPT when the layout does not fit into the memory. */
enum status middle_cache_open(struct middle_cache **out, const struct middle_cache_args *args,
                              struct err *err);
void middle_cache_close(struct middle_cache *c); /* NULL is fine */
struct model_cache middle_cache_interface(struct middle_cache *c);

#endif
