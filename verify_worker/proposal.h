/*
 * proposal.h - the draft's proposal of a round, received and checked.
 */
#ifndef VERIFY_WORKER_PROPOSAL_H
#define VERIFY_WORKER_PROPOSAL_H

#include "verify_worker/pair.h"

/* What a proposal must be to be judged. */
struct proposal_want {
    uint64_t trial;
    uint32_t round;
    uint64_t prefix_hash; /* over prompt and emitted tokens */
    uint32_t base_pos;    /* the cache's end */
    uint32_t max_tokens, n_vocab;
    bool densities; /* without them it cannot be judged */
};

/* Waits; proposals of other rounds and trials are dropped. The draft's refusal of
 * the trial is its own status and words. ST_STALE: the two are not in step,
 * ST_CORRUPT: tokens that cannot be; ST_CLOSED: the draft went away, or a stop. */
enum status proposal_receive(struct pair *pair, const struct proposal_want *want,
                             struct msg_propose *out, struct err *err);

#endif
