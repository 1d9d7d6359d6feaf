#include "verify_worker/decode.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/trace.h"
#include "verify_worker/judge.h"
#include "verify_worker/proposal.h"
#include "verify_worker/trial_metrics.h"

struct decode {
    const struct decode_args *args;
    const struct msg_trial *trial;
    const struct model_config *cfg;
    struct density_params law;
    struct accept_rule rule;
    float *logits;   /* [MSG_MAX_ROWS, n_vocab]; NULL where nobody asks for them */
    float *scratch;  /* [n_vocab] */
    uint64_t hash;   /* over prompt and emitted tokens */
    uint32_t n_sent; /* tokens already given to emit */
    bool over;
    struct trial_metrics counted;
    struct msg_result *out;
};

static void decode_init(struct decode *d, const struct decode_args *args, struct msg_result *out)
{
    const struct msg_trial *t = args->trial;
    uint32_t n_vocab = model_config(args->model)->n_vocab;

    *d = (struct decode){.args = args, .trial = t, .cfg = model_config(args->model), .out = out};
    d->law = (struct density_params){t->temperature, t->top_p};
    d->rule = (struct accept_rule){(enum acceptance)t->acceptance, t->seed, RNG_VERIFY_ACCEPT,
                                   RNG_VERIFY_RESIDUAL, RNG_TARGET};
    if (args->logits_fd >= 0)
        d->logits = mem_array((size_t)MSG_MAX_ROWS * n_vocab, sizeof *d->logits);
    d->scratch = mem_array(n_vocab, sizeof *d->scratch);
    d->hash = args->prompt_hash;
    out->token = mem_array(t->gen_len, sizeof *out->token);
}

static void decode_release(struct decode *d)
{
    free(d->logits);
    free(d->scratch);
}

static uint32_t remaining(const struct decode *d)
{
    return d->over ? 0 : d->trial->gen_len - d->out->n_tokens;
}

static bool is_eos(const struct decode *d, int32_t token)
{
    for (uint32_t i = 0; i < d->cfg->n_eos; i++)
        if (d->cfg->eos[i] == token)
            return true;
    return false;
}

/* Appends one token; `row` of the last pass's logits is the one it came from. */
static enum status append(struct decode *d, int32_t token, uint32_t row, struct err *err)
{
    size_t n = d->cfg->n_vocab * sizeof *d->logits;

    CHECK(remaining(d) > 0);
    d->out->token[d->out->n_tokens++] = token;
    d->hash = msg_prefix_hash(d->hash, token);
    if (!d->trial->ignore_eos && is_eos(d, token))
        d->out->eos = d->over = true;
    if (d->logits != NULL &&
        write(d->args->logits_fd, d->logits + (size_t)row * d->cfg->n_vocab, n) != (ssize_t)n)
        return err_set(err, ST_IO, "writing logits: %s", strerror(errno));
    return ST_OK;
}

static enum status flush(struct decode *d, struct err *err)
{
    uint32_t from = d->n_sent;

    d->n_sent = d->out->n_tokens;
    trial_metrics_round(&d->counted, d->out);
    if (d->args->emit == NULL || from == d->n_sent)
        return ST_OK;
    return d->args->emit(d->args->emit_self, d->out->token + from, d->n_sent - from, err);
}

/* *law is the density that follows row `row` of the last pass. */
static enum status law_of_row(struct decode *d, uint32_t row, const float **law, struct err *err)
{
    *law = d->args->rows + (size_t)row * d->cfg->n_vocab;
    if (!isnan((*law)[0]))
        return ST_OK;
    return err_set(err, ST_CORRUPT, "token %u: its logits hold NaN or infinity", d->out->n_tokens);
}

/* One pass of the target over tokens at positions end .. end + n - 1. */
static enum status pass(struct decode *d, const int32_t *token, uint32_t n, struct err *err)
{
    struct target_cache *cache = d->args->cache;
    uint32_t pos[MSG_MAX_ROWS];
    struct model_forward_args fwd = {.token = token,
                                     .pos = pos,
                                     .n_rows = (int)n,
                                     .cache = target_cache_interface(cache),
                                     .logits = d->logits,
                                     .p = d->args->rows,
                                     .law = d->law};
    uint64_t begin = clock_now_ns(), span = trace_begin(TRACE_PASS);
    enum status st;

    for (uint32_t i = 0; i < n; i++)
        pos[i] = target_cache_end(cache) + i;
    target_cache_begin(cache, n);
    st = model_forward(d->args->model, &fwd, err);
    trace_end(TRACE_PASS, span, pos[0], n);
    d->out->verify_s += clock_seconds_since(begin);
    return st;
}

/* The token that follows the prompt, from the snapshot's logits. */
static enum status first_token(struct decode *d, struct err *err)
{
    uint32_t n_vocab = d->cfg->n_vocab, *order = mem_array(n_vocab, sizeof *order);
    enum status st =
        density_from_logits(d->args->rows, d->args->first_logits, n_vocab, &d->law, order, err);
    int32_t token;

    free(order);
    if (st != ST_OK)
        return err_in(err, st, "token 0");
    if (d->logits != NULL)
        memcpy(d->logits, d->args->first_logits, n_vocab * sizeof *d->logits);
    token = accept_own(&d->rule, d->args->rows, n_vocab, d->trial->n_prompt);
    st = append(d, token, 0, err);
    return st == ST_OK ? flush(d, err) : st;
}

/* The target's own token after row `row`, for position `pos`. */
static enum status append_own(struct decode *d, uint32_t row, uint64_t pos, struct err *err)
{
    const float *law;
    enum status st = law_of_row(d, row, &law, err);

    return st == ST_OK ? append(d, accept_own(&d->rule, law, d->cfg->n_vocab, pos), row, err) : st;
}

static enum status baseline(struct decode *d, struct err *err)
{
    struct target_cache *cache = d->args->cache;
    enum status st = ST_OK;

    while (st == ST_OK && remaining(d) > 0) {
        int32_t pending = d->out->token[d->out->n_tokens - 1];
        if (proc_stop_requested())
            return err_set(err, ST_CLOSED, "stopped");
        st = target_cache_stream_ahead(cache, 1, err);
        if (st == ST_OK)
            st = pass(d, &pending, 1, err);
        if (st == ST_OK)
            st = target_cache_accept(cache, 1, err);
        if (st == ST_OK)
            st = append_own(d, 0, target_cache_end(cache), err);
        if (st == ST_OK)
            st = flush(d, err);
        d->out->rounds++;
    }
    return st;
}

static uint32_t wanted(const struct decode *d)
{
    return remaining(d) < d->trial->gamma ? remaining(d) : d->trial->gamma;
}

static enum status send_begin(struct decode *d, struct err *err)
{
    const struct msg_trial *t = d->trial;
    struct retrieval *r = d->args->retrieval;
    struct msg msg = {.verb = MSG_BEGIN};

    msg.begin = (struct msg_begin){
        .seq = t->trial,
        .prompt = t->prompt,
        .method = t->method,
        .gamma = t->gamma,
        .gamma_draft = t->gamma_draft,
        .gen_len = t->gen_len,
        .temperature = t->temperature,
        .top_p = t->top_p,
        .seed = t->seed,
        .acceptance = t->acceptance,
        .base_pos = target_cache_end(d->args->cache),
        .next_token = d->out->token[0],
        .prefix_hash = d->hash,
        .n_selected = r != NULL ? retrieval_n_selected(r) : 0,
        .retrieval_pages = r != NULL ? retrieval_layer_pages(r) : 0,
        .retrieval_format = KV_F16,
        .retrieval_generation = r != NULL ? retrieval_generation(r) : 0,
    };
    if (r != NULL)
        msg.begin.retrieval_format = retrieval_format(r);
    if (r != NULL)
        msg.begin.replay_draft_rate = t->replay_draft_rate;
    return pair_send(d->args->pair, &msg, err);
}

static enum status receive_proposal(struct decode *d, uint32_t round, struct msg_propose *out,
                                    struct err *err)
{
    const struct proposal_want want = {.trial = d->trial->trial,
                                       .round = round,
                                       .prefix_hash = d->hash,
                                       .base_pos = target_cache_end(d->args->cache),
                                       .max_tokens = wanted(d),
                                       .n_vocab = d->cfg->n_vocab,
                                       .densities = d->rule.kind == ACCEPT_REJECTION};

    return proposal_receive(d->args->pair, &want, out, err);
}

/* Judges the proposal against the rows of the pass; appends what is emitted. */
static enum status judge(struct decode *d, const struct msg_propose *msg, uint32_t *n_accepted,
                         struct err *err)
{
    struct judge j = {.rule = &d->rule,
                      .token = msg->token,
                      .q = pair_slab(d->args->pair),
                      .scratch = d->scratch,
                      .n_tokens = msg->n_tokens,
                      .n_vocab = d->cfg->n_vocab,
                      .first_pos = target_cache_end(d->args->cache) + 1};
    uint64_t span = trace_begin(TRACE_JUDGE);
    enum status st = ST_OK;
    uint32_t i;

    judge_begin(&j, d->trial->replay_accepted);
    for (i = 0; st == ST_OK && i < msg->n_tokens && remaining(d) > 0; i++) {
        int32_t instead = 0;
        const float *law;
        bool accepted;
        st = law_of_row(d, i, &law, err);
        if (st != ST_OK)
            break;
        d->out->proposed_at[i]++;
        accepted = judge_accepts(&j, i, law, &instead);
        st = append(d, accepted ? msg->token[i] : instead, i, err);
        if (!accepted)
            break;
        d->out->accepted_at[i]++;
    }
    *n_accepted = i;
    if (st == ST_OK && i == msg->n_tokens && remaining(d) > 0)
        st = append_own(d, i, j.first_pos + i, err);
    trace_end(TRACE_JUDGE, span, msg->n_tokens, i);
    return st;
}

static void count_round(struct decode *d, const struct msg_propose *prop, uint32_t n_accepted)
{
    d->out->rounds++;
    d->out->proposed += prop->n_tokens;
    d->out->accepted += n_accepted;
    d->out->draft_proposed += prop->n_draft_proposed;
    d->out->draft_accepted += prop->n_draft_accepted;
    d->out->middle_steps += prop->n_middle_steps;
    d->out->draft_s += (double)prop->draft_ns * 1e-9;
    d->out->middle_s += (double)prop->middle_ns * 1e-9;
    trace_total(TRACE_N_ACCEPTED, d->out->accepted);
}

static enum status send_verdict(struct decode *d, uint32_t round, uint32_t n_accepted,
                                struct err *err)
{
    struct retrieval *r = d->args->retrieval;
    struct msg msg = {.verb = MSG_VERDICT};

    msg.verdict = (struct msg_verdict){
        .seq = d->trial->trial,
        .round = round,
        .n_accepted = n_accepted,
        .next_token = d->out->token[d->out->n_tokens - 1],
        .base_pos = target_cache_end(d->args->cache),
        .n_wanted = wanted(d),
        .prefix_hash = d->hash,
        .retrieval_generation = r != NULL ? retrieval_generation(r) : 0,
    };
    return pair_send(d->args->pair, &msg, err);
}

/* After judging: what was accepted becomes part of the cache. The pending token
 * of the pass is accepted with its n_accepted followers; an accepted proposal
 * that is the last token of the trial stays pending. */
static enum status settle(struct decode *d, uint32_t n_accepted, struct err *err)
{
    struct target_cache *cache = d->args->cache;
    uint32_t base = target_cache_end(cache);
    uint32_t n = 1 + n_accepted;
    uint64_t span = trace_begin(TRACE_SETTLE);
    enum status st;

    st = target_cache_accept(cache, n, err);
    if (st == ST_OK && d->args->retrieval != NULL && remaining(d) > 0)
        st = retrieval_update(d->args->retrieval, base, n, err);
    if (st == ST_OK && remaining(d) > 0)
        st = target_cache_stream_ahead(cache, wanted(d) + 1, err);
    trace_end(TRACE_SETTLE, span, base, n);
    return st;
}

static enum status one_round(struct decode *d, uint32_t round, uint64_t *asked_ns, struct err *err)
{
    struct msg_propose prop;
    int32_t token[MSG_MAX_ROWS];
    uint32_t n_accepted = 0;
    double outside;
    enum status st;

    st = receive_proposal(d, round, &prop, err);
    if (st != ST_OK)
        return st;
    outside = clock_seconds_since(*asked_ns) - (double)(prop.draft_ns + prop.middle_ns) * 1e-9;
    d->out->message_s += outside > 0 ? outside : 0;
    token[0] = d->out->token[d->out->n_tokens - 1];
    memcpy(token + 1, prop.token, prop.n_tokens * sizeof *token);
    st = pass(d, token, prop.n_tokens + 1, err);
    if (st == ST_OK)
        st = judge(d, &prop, &n_accepted, err);
    if (st == ST_OK)
        st = settle(d, n_accepted, err);
    if (st != ST_OK)
        return st;
    count_round(d, &prop, n_accepted);
    *asked_ns = clock_now_ns();
    st = send_verdict(d, round, n_accepted, err);
    return st == ST_OK ? flush(d, err) : st;
}

static enum status speculate(struct decode *d, struct err *err)
{
    struct msg cancel = {.verb = MSG_CANCEL};
    struct err ignored = {{0}};
    uint64_t asked_ns;
    enum status st;

    st = target_cache_stream_ahead(d->args->cache, wanted(d) + 1, err);
    asked_ns = clock_now_ns();
    if (st == ST_OK)
        st = send_begin(d, err);
    for (uint32_t round = 0; st == ST_OK && remaining(d) > 0; round++) {
        uint64_t span = trace_begin(TRACE_ROUND);
        uint32_t before = d->out->accepted;
        if (proc_stop_requested())
            st = err_set(err, ST_CLOSED, "stopped");
        else
            st = one_round(d, round, &asked_ns, err);
        trace_end(TRACE_ROUND, span, round, d->out->accepted - before);
    }
    if (st != ST_OK && st != ST_CLOSED) {
        cancel.round_key = (struct msg_round_key){d->trial->trial, 0, d->hash};
        (void)pair_send(d->args->pair, &cancel, &ignored);
    }
    return st;
}

enum status decode_run(const struct decode_args *args, struct msg_result *out, struct err *err)
{
    struct decode d;
    uint64_t begin;
    enum status st;

    decode_init(&d, args, out);
    begin = clock_now_ns();
    st = first_token(&d, err);
    if (st == ST_OK && remaining(&d) > 0)
        st = args->pair == NULL ? baseline(&d, err) : speculate(&d, err);
    out->decode_s = clock_seconds_since(begin);
    trial_metrics_round(&d.counted, out); /* the baseline's last round */
    decode_release(&d);
    return st;
}
