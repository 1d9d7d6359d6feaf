/*
 * judge.h - whether proposed tokens stand, by the target's laws: acceptance
 * (accept.h), or what a replayed acceptance says in its place (replay.h).
 */
#ifndef VERIFY_WORKER_JUDGE_H
#define VERIFY_WORKER_JUDGE_H

#include "kernels/accept.h"

/* One proposal; all pointers are borrowed. */
struct judge {
    const struct accept_rule *rule;
    const int32_t *token; /* [n_tokens] proposed */
    const float *q;       /* [n_tokens, n_vocab] densities they were sampled from */
    float *scratch;       /* [n_vocab] */
    uint32_t n_tokens, n_vocab;
    uint64_t first_pos; /* position of token[0] */
    uint32_t n_forced;  /* filled by judge_begin */
};

/* mean_accepted 0: tokens are judged; else so many stand on average. */
void judge_begin(struct judge *j, double mean_accepted);

/* Whether token i stands by `law`, the target's law of its position; else
 * *instead is the token to emit. A replayed acceptance judges all the same, and
 * overrules the outcome. */
bool judge_accepts(const struct judge *j, uint32_t i, const float *law, int32_t *instead);

#endif
