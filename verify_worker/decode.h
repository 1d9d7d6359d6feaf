/*
 * decode.h - the target's side of decoding one trial: token by token
 * (baseline), or judging what the draft proposes.
 */
#ifndef VERIFY_WORKER_DECODE_H
#define VERIFY_WORKER_DECODE_H

#include "kernels/accept.h"
#include "kernels/density.h"
#include "verify_worker/pair.h"
#include "verify_worker/retrieval.h"
#include "verify_worker/target_cache.h"

/* Everything a decode works with; all borrowed. */
struct decode_args {
    struct model *model;
    struct target_cache *cache;
    const float *first_logits;     /* [n_vocab], follow the prompt */
    const struct msg_trial *trial; /* checked */
    uint64_t prompt_hash;          /* msg_prefix_hash over the prompt */
    struct pair *pair;             /* NULL for baseline */
    struct retrieval *retrieval;   /* NULL without a middle level */
    int logits_fd;                 /* -1, or: f32 rows of every emitted token are appended */
    float *rows;                   /* [MSG_MAX_ROWS, n_vocab] for the laws of a pass */
    /* Called with tokens as they are accepted. */
    enum status (*emit)(void *self, const int32_t *token, uint32_t n, struct err *err);
    void *emit_self;
};

/* Decodes exactly gen_len tokens (fewer only after an accepted end-of-text
 * token without ignore_eos) and fills tokens, counts and times of *out.
 * out->token is owned by the caller: free(). */
enum status decode_run(const struct decode_args *args, struct msg_result *out, struct err *err);

#endif
