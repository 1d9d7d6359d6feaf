/*
 * pair_memory.h - the draft's end of what verify shares: the segment, the
 * retrieval KV, and the target's weights (pair_segment.h).
 */
#ifndef DRAFT_WORKER_PAIR_MEMORY_H
#define DRAFT_WORKER_PAIR_MEMORY_H

#include "common/pair_segment.h"
#include "common/shm.h"
#include "model/model.h"

/* Owns segment and imports. Zero-initialise it, with `dev` set (borrowed). */
struct pair_memory {
    struct device *dev;
    struct shm segment; /* base NULL: verify has sent none yet */
    struct pair_hello hello;
    void *retrieval; /* imported device memory, once it was asked for */
};

/* Takes `segment`, with the hello that came with it, in the place of the one
 * before, which nobody may use any more. */
enum status pair_memory_take(struct pair_memory *m, struct shm segment,
                             const struct pair_hello *hello, struct err *err);
void pair_memory_release(struct pair_memory *m);

/* Density rows of the proposal; registered with the device. */
float *pair_memory_slab(const struct pair_memory *m);

/* *out is the memory of the retrieval KV: of the device if *is_device, else of
 * the segment. ST_UNSUPPORTED where the two devices do not go together. */
enum status pair_memory_retrieval(struct pair_memory *m, void **out, size_t *size_bytes,
                                  bool *is_device, struct err *err);

/* The target with the weights that verify holds; `dir` is its checkpoint. The
 * model must be closed before the next take or release. */
enum status pair_memory_target(const struct pair_memory *m, const char *dir, struct model **out,
                               struct err *err);

#endif
