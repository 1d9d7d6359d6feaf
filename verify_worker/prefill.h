/*
 * prefill.h - computes a prompt on a fixed grid of absolute chunks and leaves
 * a snapshot in the store.
 *
 * Always attends unquantized pages (the base format), so one prefill serves
 * every method, placement and KV format.
 */
#ifndef VERIFY_WORKER_PREFILL_H
#define VERIFY_WORKER_PREFILL_H

#include "kvstore/kv_client.h"
#include "model/model.h"

enum { PREFILL_CHUNK = 512 };

struct prefill_args {
    struct device *dev;
    struct model *model;
    struct kv_client *store;
    enum kv_format base;
    const int32_t *token; /* [n_tokens] */
    uint32_t n_tokens;    /* > 0 */
    uint32_t prompt;      /* its number, for the trace */
    /* Called after each chunk; ST_OK to go on. */
    enum status (*progress)(void *self, uint32_t done, uint32_t total, struct err *err);
    void *progress_self;
};

/* *seq is the snapshot (kept by the store until dropped), *bytes what it takes
 * in the arena. */
enum status prefill_run(const struct prefill_args *args, uint64_t *seq, uint64_t *bytes,
                        struct err *err);

#endif
