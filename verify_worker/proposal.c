#include "verify_worker/proposal.h"

#include "common/log.h"
#include "common/trace.h"

/* Until the proposal of that trial and round comes. */
static enum status await(struct pair *pair, const struct proposal_want *want,
                         struct msg_propose *out, struct err *err)
{
    for (;;) {
        struct msg msg = {0};
        enum status st = pair_recv(pair, &msg, err);
        if (st != ST_OK)
            return st;
        /* 0: the draft could not read what it was sent. */
        if (msg.verb == MSG_ERROR && (msg.request == want->trial || msg.request == 0)) {
            bool known = msg.error.status > ST_OK && msg.error.status < ST_COUNT;
            return err_set(err, known ? (enum status)msg.error.status : ST_CORRUPT, "draft: %s",
                           msg.error.words);
        }
        if (msg.verb == MSG_PROPOSE && msg.propose.seq == want->trial &&
            msg.propose.round == want->round) {
            *out = msg.propose;
            return ST_OK;
        }
        if (msg.verb == MSG_RESYNC && msg.round_key.seq == want->trial)
            return err_set(err, ST_STALE, "draft lost step in round %u", want->round);
        log_warn(LOG_MSG, "drop verb=%s round=%u", msg_verb_name(msg.verb), want->round);
        msg_release(&msg);
    }
}

static enum status check(const struct msg_propose *p, const struct proposal_want *want,
                         struct err *err)
{
    if (p->prefix_hash != want->prefix_hash || p->base_pos != want->base_pos)
        return err_set(err, ST_STALE, "proposal of round %u follows another prefix", want->round);
    if (p->n_tokens == 0 || p->n_tokens > want->max_tokens)
        return err_set(err, ST_CORRUPT, "proposal of %u tokens, at most %u were wanted",
                       p->n_tokens, want->max_tokens);
    if (!p->densities && want->densities)
        return err_set(err, ST_CORRUPT, "proposal of round %u without densities", want->round);
    for (uint32_t i = 0; i < p->n_tokens; i++)
        if (p->token[i] < 0 || (uint32_t)p->token[i] >= want->n_vocab)
            return err_set(err, ST_CORRUPT, "proposed token %d is not in the vocabulary of %u",
                           p->token[i], want->n_vocab);
    return ST_OK;
}

enum status proposal_receive(struct pair *pair, const struct proposal_want *want,
                             struct msg_propose *out, struct err *err)
{
    uint64_t begin = trace_begin(TRACE_AWAIT);
    enum status st = await(pair, want, out, err);

    trace_end(TRACE_AWAIT, begin, want->round, 0);
    return st == ST_OK ? check(out, want, err) : st;
}
