#include "verify_worker/judge.h"

#include "kernels/replay.h"

enum { NOT_FORCED = UINT32_MAX };

void judge_begin(struct judge *j, double mean_accepted)
{
    j->n_forced = NOT_FORCED;
    if (mean_accepted > 0)
        j->n_forced = replay_accepted(mean_accepted, j->rule->seed, j->first_pos, j->n_tokens);
}

bool judge_accepts(const struct judge *j, uint32_t i, const float *law, int32_t *instead)
{
    uint64_t pos = j->first_pos + i;
    const float *q = j->q + (size_t)i * j->n_vocab;
    bool accepted =
        accept_token(j->rule, j->token[i], law, q, j->n_vocab, pos, j->scratch, instead);

    if (j->n_forced == NOT_FORCED)
        return accepted;
    if (accepted && i >= j->n_forced)
        *instead = accept_own(j->rule, law, j->n_vocab, pos);
    return i < j->n_forced;
}
