#include "draft_worker/proposer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/trace.h"
#include "kernels/accept.h"
#include "kernels/density.h"
#include "kernels/replay.h"

struct proposer {
    struct proposer_args args;
    struct msg_begin begin;
    uint32_t n_vocab;
    struct density_params law;
    struct accept_rule own_rule;    /* the small draft's choice */
    struct accept_rule middle_rule; /* the middle level's judgement */
    bool densities;                 /* the target will ask for them */
    int32_t *token; /* [gen_len + gamma + slack], tokens from position base_pos on */
    uint32_t cap;
    uint32_t first_pos;  /* position of token[0] */
    uint32_t n_known;    /* tokens of the sequence, proposal included: an absolute count */
    uint32_t n_accepted; /* tokens that verify has confirmed, as a count */
    uint32_t draft_len, middle_len; /* leading tokens whose KV stands */
    uint64_t hash;                  /* over the confirmed tokens */
    float *q;                       /* [MSG_MAX_ROWS, n_vocab] laws of the small draft */
    float *scratch;                 /* [n_vocab] */
    struct msg_propose *out;
};

static int32_t *at(struct proposer *p, uint32_t pos)
{
    CHECK(pos >= p->first_pos && pos - p->first_pos < p->cap);
    return &p->token[pos - p->first_pos];
}

static enum status check_begin(const struct msg_begin *b, bool middle, struct err *err)
{
    if (b->gamma == 0 || b->gamma >= MSG_MAX_ROWS)
        return err_set(err, ST_INVALID, "gamma %u is not in 1..%u", b->gamma, MSG_MAX_ROWS - 1u);
    if (middle && (b->gamma_draft == 0 || b->gamma_draft >= MSG_MAX_ROWS))
        return err_set(err, ST_INVALID, "gamma_draft %u is not in 1..%u", b->gamma_draft,
                       MSG_MAX_ROWS - 1u);
    if (b->gen_len == 0 || b->gen_len > MSG_MAX_TOKENS)
        return err_set(err, ST_INVALID, "gen_len %u is not in 1..%u", b->gen_len,
                       (unsigned)MSG_MAX_TOKENS);
    if (b->acceptance != ACCEPT_REJECTION && b->acceptance != ACCEPT_COUPLED)
        return err_set(err, ST_INVALID, "acceptance %u is not known", b->acceptance);
    if (!(b->temperature >= 0 && isfinite(b->temperature)) || !(b->top_p > 0 && b->top_p <= 1))
        return err_set(err, ST_INVALID,
                       "temperature %g must be finite and >= 0, top_p %g in (0, 1]", b->temperature,
                       b->top_p);
    if (!(b->replay_draft_rate >= 0 && b->replay_draft_rate <= 1))
        return err_set(err, ST_INVALID, "replayed draft rate %g is not in 0..1",
                       b->replay_draft_rate);
    return ST_OK;
}

enum status proposer_open(struct proposer **out, const struct proposer_args *args, struct err *err)
{
    const struct msg_begin *b = args->begin;
    enum acceptance kind = (enum acceptance)b->acceptance;
    struct proposer *p;
    enum status st;

    st = check_begin(b, args->middle != NULL, err);
    if (st != ST_OK)
        return st;
    p = mem_zalloc(sizeof *p);
    p->args = *args;
    p->begin = *b;
    p->n_vocab = model_config(args->draft)->n_vocab;
    p->law = (struct density_params){b->temperature, b->top_p};
    p->own_rule = (struct accept_rule){kind, b->seed, RNG_TEST, RNG_TEST, RNG_DRAFT};
    p->middle_rule = (struct accept_rule){kind, b->seed, RNG_MIDDLE_ACCEPT, RNG_MIDDLE_RESIDUAL,
                                          RNG_MIDDLE_RESIDUAL};
    p->densities = kind == ACCEPT_REJECTION;
    p->cap = b->gen_len + 2 * MSG_MAX_ROWS;
    p->token = mem_array(p->cap, sizeof *p->token);
    p->first_pos = p->draft_len = p->middle_len = b->base_pos;
    p->token[0] = b->next_token;
    p->n_known = p->n_accepted = b->base_pos + 1;
    p->hash = b->prefix_hash;
    p->q = mem_array((size_t)MSG_MAX_ROWS * p->n_vocab, sizeof *p->q);
    p->scratch = mem_array(p->n_vocab, sizeof *p->scratch);
    *out = p;
    return ST_OK;
}

void proposer_close(struct proposer *p)
{
    if (p == NULL)
        return;
    free(p->token);
    free(p->q);
    free(p->scratch);
    free(p);
}

/* One of the two levels: its model, its cache, and how far the cache has come. */
struct level {
    struct model *model;
    struct model_cache cache;
    uint32_t *len;
};

/* Runs tokens [len, n_known) through a level; the laws of the last n_rows go to
 * `laws`. They are in host memory when this returns. */
static enum status run(struct proposer *p, const struct level *level, uint32_t n_rows, float *laws,
                       struct err *err)
{
    uint32_t pos[2 * MSG_MAX_ROWS];
    uint32_t *len = level->len, n = p->n_known - *len;
    struct model_forward_args fwd = {.token = at(p, *len),
                                     .pos = pos,
                                     .n_rows = (int)n,
                                     .cache = level->cache,
                                     .logits_from = (int)(n - n_rows),
                                     .p = laws,
                                     .law = p->law};
    enum status st;

    CHECK(n >= n_rows && n <= 2 * MSG_MAX_ROWS - 2);
    for (uint32_t i = 0; i < n; i++)
        pos[i] = *len + i;
    st = model_forward(level->model, &fwd, err);
    if (st == ST_OK)
        *len = p->n_known;
    return st;
}

static enum status check_law(const char *level, const float *law, uint32_t pos, struct err *err)
{
    if (!isnan(law[0]))
        return ST_OK;
    return err_set(err, ST_CORRUPT,
                   "%s: the logits of position %u hold NaN or infinity: no token can be drawn",
                   level, pos);
}

/* The small draft's next token, appended; its density goes to `q`. */
static enum status draft_token(struct proposer *p, float *q, struct err *err)
{
    struct level level = {p->args.draft, window_cache_interface(p->args.window), &p->draft_len};
    uint64_t begin = clock_now_ns(), span = trace_begin(TRACE_DRAFT_STEP);
    enum status st;

    st = run(p, &level, 1, q, err);
    if (st == ST_OK)
        st = check_law("draft", q, p->n_known, err);
    if (st == ST_OK) {
        *at(p, p->n_known) = accept_own(&p->own_rule, q, p->n_vocab, p->n_known);
        p->n_known++;
    }
    trace_end(TRACE_DRAFT_STEP, span, p->n_known, 0);
    p->out->draft_ns += clock_now_ns() - begin;
    return st;
}

static float *slab_row(struct proposer *p, uint32_t i)
{
    return p->args.slab + (size_t)i * p->n_vocab;
}

static enum status propose_vanilla(struct proposer *p, uint32_t n_wanted, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < n_wanted; i++)
        st = draft_token(p, p->densities ? slab_row(p, i) : p->q, err);
    p->out->n_draft_proposed = n_wanted;
    return st;
}

/* Cuts the sequence after `n` tokens: what follows was never confirmed. */
static void cut(struct proposer *p, uint32_t n)
{
    p->n_known = n;
    if (p->draft_len > n)
        p->draft_len = n;
    if (p->middle_len > n)
        p->middle_len = n;
}

/* The middle level's law of position `pos`: its place in the slab is where the
 * target will look for it. */
static float *middle_law(struct proposer *p, uint32_t pos)
{
    return slab_row(p, pos - p->n_accepted);
}

/* Whether the draft's token i of the newest k stands, at `pos`; else *instead.
 * A replayed acceptance judges all the same, and overrules the outcome. */
static bool middle_accepts(struct proposer *p, uint32_t i, uint32_t pos, int32_t *instead)
{
    const float *law = middle_law(p, pos);
    bool accepted = accept_token(&p->middle_rule, *at(p, pos), law, p->q + (size_t)i * p->n_vocab,
                                 p->n_vocab, pos, p->scratch, instead);
    bool forced;

    if (!(p->begin.replay_draft_rate > 0))
        return accepted;
    forced = replay_accepts(p->begin.replay_draft_rate, p->begin.seed, pos);
    if (accepted && !forced)
        *instead = accept_own(&p->middle_rule, law, p->n_vocab, pos);
    return forced;
}

/* Judges the k newest tokens, from position `from` on; adds the middle level's
 * own token behind them if all stand and there is room. */
static enum status middle_judge(struct proposer *p, uint32_t from, uint32_t k, uint32_t end,
                                struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < k; i++) {
        uint32_t pos = from + i;
        int32_t instead = 0;
        st = check_law("middle level", middle_law(p, pos), pos, err);
        if (st != ST_OK)
            return st;
        if (!middle_accepts(p, i, pos, &instead)) {
            cut(p, pos);
            *at(p, pos) = instead;
            p->n_known = pos + 1;
            return ST_OK;
        }
        p->out->n_draft_accepted++;
    }
    if (p->n_known == end)
        return ST_OK;
    st = check_law("middle level", middle_law(p, p->n_known), p->n_known, err);
    if (st == ST_OK) {
        *at(p, p->n_known) =
            accept_own(&p->middle_rule, middle_law(p, p->n_known), p->n_vocab, p->n_known);
        p->n_known++;
    }
    return st;
}

static enum status propose_middle(struct proposer *p, uint32_t n_wanted, struct err *err)
{
    struct level middle = {p->args.target, middle_cache_interface(p->args.middle), &p->middle_len};
    uint32_t end = p->n_accepted + n_wanted;
    enum status st = ST_OK;

    while (st == ST_OK && p->n_known < end) {
        uint32_t from = p->n_known;
        uint32_t room = end - from;
        uint32_t k = p->begin.gamma_draft < room ? p->begin.gamma_draft : room;
        uint64_t begin, span;
        for (uint32_t i = 0; st == ST_OK && i < k; i++)
            st = draft_token(p, p->q + (size_t)i * p->n_vocab, err);
        begin = clock_now_ns();
        span = trace_begin(TRACE_MIDDLE_STEP);
        if (st == ST_OK)
            st = run(p, &middle, k + 1, middle_law(p, from), err);
        if (st == ST_OK)
            st = middle_judge(p, from, k, end, err);
        trace_end(TRACE_MIDDLE_STEP, span, from, k + 1);
        p->out->middle_ns += clock_now_ns() - begin;
        p->out->n_middle_steps++;
        p->out->n_draft_proposed += k;
    }
    return st;
}

enum status proposer_propose(struct proposer *p, uint32_t n_wanted, struct msg_propose *out,
                             struct err *err)
{
    uint64_t span;
    enum status st;

    if (n_wanted == 0 || n_wanted > p->begin.gamma)
        return err_set(err, ST_CORRUPT, "%u tokens are wanted, gamma is %u", n_wanted,
                       p->begin.gamma);
    if (p->n_accepted - p->first_pos + n_wanted > p->begin.gen_len)
        return err_set(err, ST_CORRUPT, "%u tokens are wanted, %u of %u are there", n_wanted,
                       p->n_accepted - p->first_pos, p->begin.gen_len);
    *out = (struct msg_propose){.seq = p->begin.seq,
                                .prefix_hash = p->hash,
                                .base_pos = p->n_accepted - 1,
                                .n_tokens = n_wanted,
                                .densities = p->densities};
    p->out = out;
    span = trace_begin(TRACE_PROPOSE);
    st = p->args.middle == NULL ? propose_vanilla(p, n_wanted, err)
                                : propose_middle(p, n_wanted, err);
    trace_end(TRACE_PROPOSE, span, p->n_accepted, n_wanted);
    if (st == ST_OK)
        memcpy(out->token, at(p, p->n_accepted), n_wanted * sizeof *out->token);
    p->out = NULL;
    return st;
}

enum status proposer_verdict(struct proposer *p, const struct msg_verdict *v, struct err *err)
{
    uint32_t n_proposed = p->n_known - p->n_accepted;
    uint32_t base;

    if (v->n_accepted > n_proposed)
        return err_set(err, ST_CORRUPT, "verdict accepts %u of %u tokens", v->n_accepted,
                       n_proposed);
    for (uint32_t i = 0; i < v->n_accepted; i++)
        p->hash = msg_prefix_hash(p->hash, *at(p, p->n_accepted + i));
    p->hash = msg_prefix_hash(p->hash, v->next_token);
    base = p->n_accepted + v->n_accepted;
    if (p->hash != v->prefix_hash || v->base_pos != base)
        return err_set(err, ST_STALE, "the verdict of round %u follows another prefix", v->round);
    cut(p, base);
    /* Verify has put the exact K/V of every confirmed token but the last into the
     * retrieval KV. */
    p->middle_len = base;
    *at(p, base) = v->next_token;
    p->n_known = p->n_accepted = base + 1;
    return ST_OK;
}
