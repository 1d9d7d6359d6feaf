/*
 * eval_score.h - scores tokens under a reference KV and under others, side by
 * side, chunk by chunk, so that logits of a few rows at a time are held.
 */
#ifndef TOOLS_EVAL_EVAL_SCORE_H
#define TOOLS_EVAL_EVAL_SCORE_H

#include "tools/eval/eval_cache.h"

struct eval_arm {
    struct eval_cache *cache; /* borrowed */
    double *nll;              /* [n] -ln q of the token that follows */
    double *kl;               /* [n] KL(reference || arm), nats */
    double *same_top;         /* [n] 1 or 0 */
};

struct eval_score_args {
    struct eval_cache *ref; /* borrowed; stands where the arms stand */
    double *ref_nll;        /* [n] */
    struct eval_arm *arm;   /* [n_arms] */
    uint32_t n_arms;
    const int32_t *token; /* [n + 1]: row i is token[i] and predicts token[i + 1] */
    uint32_t n;           /* rows */
    uint32_t pass_rows;   /* at a time, 1 .. EVAL_PASS_ROWS; changes no result */
    uint32_t n_vocab;
};

/* Moves all caches by n tokens. ST_CORRUPT: a token out of range, or logits
 * that are not finite. */
enum status eval_score(const struct eval_score_args *args, struct err *err);

#endif
