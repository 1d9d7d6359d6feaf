/*
 * proposer.h - what the draft proposes next in one trial, and how a verdict
 * moves it on.
 *
 * vanilla_specdec: the small draft proposes gamma tokens. mspeckv: the small
 * draft proposes gamma_draft tokens at a time, the middle level (the target's
 * weights over the retrieval KV) judges them by the same acceptance rule as
 * the target and adds a token of its own, until gamma tokens stand; their
 * density is the middle level's, which is the law they really have.
 */
#ifndef DRAFT_WORKER_PROPOSER_H
#define DRAFT_WORKER_PROPOSER_H

#include "common/msg.h"
#include "draft_worker/middle_cache.h"
#include "draft_worker/window_cache.h"

struct proposer; /* borrows models and caches */

struct proposer_args {
    struct model *draft;
    struct window_cache *window;
    struct model *target;          /* with the middle level only */
    struct middle_cache *middle;   /* NULL: vanilla */
    const struct msg_begin *begin; /* borrows for the open */
    float *slab;                   /* [MSG_MAX_ROWS, n_vocab] density rows of the proposal */
};

/* ST_INVALID when begin holds values out of range. */
enum status proposer_open(struct proposer **out, const struct proposer_args *args, struct err *err);
void proposer_close(struct proposer *p); /* NULL is fine */

/* Fills the round's tokens, densities and times. n_wanted >= 1. */
enum status proposer_propose(struct proposer *p, uint32_t n_wanted, struct msg_propose *out,
                             struct err *err);

/* Takes the verdict on the last proposal. ST_STALE when its prefix is not what
 * this side computes: then RESYNC is the answer. */
enum status proposer_verdict(struct proposer *p, const struct msg_verdict *v, struct err *err);

#endif
