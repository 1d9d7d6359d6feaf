/*
 * retrieval.h - the retrieval KV of the middle level: chosen prompt tokens, then
 * everything generated.
 *
 * Per layer and KV head the chunks of `chunk` tokens with the largest score
 * (chunk_score.h, last prompt query) are taken, chunk 0 always, and the partial
 * chunk at the prompt's end always; a budget of at least the prompt takes
 * everything. In a layer with a sliding window the chunks that the last prompt
 * query sees come first, also before chunk 0. Layout: pair_segment.h. Verify owns the memory; the draft's
 * middle level writes guesses behind the accepted tokens between VERDICT and
 * PROPOSE, and verify replaces them by exact K/V.
 */
#ifndef VERIFY_WORKER_RETRIEVAL_H
#define VERIFY_WORKER_RETRIEVAL_H

#include "verify_worker/target_cache.h"

struct retrieval; /* borrows memory, device and model */

struct retrieval_args {
    struct device *dev;
    const struct model_config *cfg;
    const struct snapshot *snapshot; /* borrows for the open */
    struct target_cache *cache;      /* at the end of the prompt; borrows until close */
    void *memory;                    /* what the draft opens too: borrows until close */
    size_t memory_bytes;
    bool is_device_memory;          /* of `memory`; else it is the shared segment's host memory */
    uint32_t budget, chunk, recent; /* recent: tokens behind the prompt */
};

/* Selected tokens for a prompt; ST_INVALID when the budget cannot hold the
 * chunks that are always in. */
enum status retrieval_count(uint32_t n_prompt, uint32_t budget, uint32_t chunk, uint32_t *out,
                            struct err *err);

enum status retrieval_open(struct retrieval **out, const struct retrieval_args *args,
                           struct err *err);
void retrieval_close(struct retrieval *r); /* NULL is fine */

uint32_t retrieval_n_selected(const struct retrieval *r);
uint32_t retrieval_layer_pages(const struct retrieval *r);
enum kv_format retrieval_format(const struct retrieval *r);
size_t retrieval_bytes(const struct retrieval *r);
/* Grows with every change that verify makes; messages carry it. */
uint64_t retrieval_generation(const struct retrieval *r);

/* Exact K/V of accepted tokens first .. first + n - 1, from the cache's tail;
 * written when it returns, so that another process may read it. */
enum status retrieval_update(struct retrieval *r, uint32_t first, uint32_t n, struct err *err);

#endif
