#include "orchestrator/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"

struct session {
    struct group *group;
    struct session_watch watch;
    struct session_prompt prompt;
    bool has_prompt;
    uint64_t snapshot; /* in the store; 0: none */
    bool draft_has_prompt;
    double prefill_s;
    bool is_over, is_stopped;
    uint32_t n_seen; /* tokens of the trial at hand that the watcher has got */
    uint32_t n_sent; /* tokens that verify has sent in this attempt */
};

struct group *session_group(struct session *s)
{
    return s->group;
}

bool session_is_over(const struct session *s)
{
    return s->is_over;
}

bool session_is_stopped(const struct session *s)
{
    return s->is_stopped;
}

enum status session_open(struct session **out, const struct group_options *opt,
                         const struct session_watch *watch, struct err *err)
{
    struct session *s = mem_zalloc(sizeof *s);

    if (watch != NULL)
        s->watch = *watch;
    *out = s;
    return group_open(&s->group, opt, err);
}

void session_close(struct session *s)
{
    if (s == NULL)
        return;
    group_close(s->group);
    free(s);
}

/* ---- one request ---- */

/* A repeated trial sends its first tokens again: the same, by its seed. */
static void on_tokens(struct session *s, const struct msg_tokens *m)
{
    uint32_t n_old = s->n_seen > s->n_sent ? s->n_seen - s->n_sent : 0;

    if (n_old > m->n_tokens)
        n_old = m->n_tokens;
    s->n_sent += m->n_tokens;
    if (s->n_sent > s->n_seen)
        s->n_seen = s->n_sent;
    if (s->watch.tokens != NULL && m->n_tokens > n_old)
        s->watch.tokens(s->watch.self, m->token + n_old, m->n_tokens - n_old);
}

static void on_watch(void *self, const struct msg *msg)
{
    struct session *s = self;

    if (msg == NULL && s->watch.tick != NULL)
        s->watch.tick(s->watch.self);
    if (msg != NULL && msg->verb == MSG_TOKENS)
        on_tokens(s, &msg->tokens);
    if (msg != NULL && msg->verb == MSG_PROGRESS && s->watch.progress != NULL)
        s->watch.progress(s->watch.self, &msg->progress);
}

/* A hang ends, and a long prompt on a slow device has its time. */
static double limit_of(const struct session_prompt *p)
{
    return p->timeout_s > 0 ? p->timeout_s + p->n_tokens / SESSION_TOKENS_PER_S : 0;
}

static enum status ask_prefill(struct session *s, enum group_member member, int stop_at,
                               struct msg *out, struct err *err)
{
    struct msg msg = {.verb = MSG_PREFILL};
    struct group_call call = {.member = member,
                              .request = &msg,
                              .want = MSG_PREFILLED,
                              .timeout_s = limit_of(&s->prompt),
                              .stop_at = stop_at,
                              .self = s,
                              .watch = on_watch};

    msg.prefill.prompt = s->prompt.number;
    msg.prefill.n_tokens = s->prompt.n_tokens;
    msg.prefill.token = (int32_t *)(uintptr_t)s->prompt.token; /* packed at once, not kept */
    return group_ask(s->group, &call, out, err);
}

static enum status give_verify(struct session *s, int stop_at, struct err *err)
{
    struct msg answer = {0};
    enum status st;

    if (s->snapshot != 0)
        return ST_OK;
    st = ask_prefill(s, GROUP_VERIFY, stop_at, &answer, err);
    if (st != ST_OK)
        return st;
    s->snapshot = answer.prefilled.snapshot;
    s->prefill_s = answer.prefilled.seconds;
    return ST_OK;
}

static enum status give_draft(struct session *s, int stop_at, struct err *err)
{
    struct msg answer = {0};
    enum status st;

    if (s->draft_has_prompt)
        return ST_OK;
    st = ask_prefill(s, GROUP_DRAFT, stop_at, &answer, err);
    s->draft_has_prompt = st == ST_OK;
    return st;
}

static enum status try_trial(struct session *s, const struct session_trial *c, struct msg *out,
                             struct err *err)
{
    struct msg msg = {.verb = MSG_TRIAL};
    struct group_call call = {.member = GROUP_VERIFY,
                              .request = &msg,
                              .want = MSG_RESULT,
                              .timeout_s = c->timeout_s,
                              .stop_at = c->stop_at,
                              .self = s,
                              .watch = on_watch};
    enum status st = give_verify(s, c->stop_at, err);

    if (st == ST_OK && c->trial->method != METHOD_BASELINE)
        st = give_draft(s, c->stop_at, err);
    if (st != ST_OK)
        return st;
    c->trial->snapshot = s->snapshot;
    c->trial->prompt = s->prompt.number;
    msg.trial = *c->trial;
    s->n_sent = 0;
    return group_ask(s->group, &call, out, err);
}

/* ---- recovery ---- */

static void notice(struct session *s, const char *words)
{
    log_warn(LOG_RUN, "%s", words);
    if (s->watch.notice != NULL)
        s->watch.notice(s->watch.self, words);
}

/* A store that has died, or has no finished snapshot, is started afresh too, so
 * that nothing half-written stays in its arena. */
static enum status restart(struct session *s, bool all, const struct err *why, struct err *err)
{
    bool store_too = all || group_has_died(s->group, GROUP_KVSTORE) || s->snapshot == 0;
    struct err words = {{0}};
    enum status st;

    (void)err_set(&words, ST_CLOSED, "%s; starting %s again", why->text,
                  store_too ? "all processes" : "the workers");
    notice(s, words.text);
    s->draft_has_prompt = false;
    if (store_too)
        s->snapshot = 0;
    st = group_restart(s->group, store_too, err);
    if (st != ST_OK)
        s->is_over = true;
    s->is_stopped = st == ST_CLOSED && group_end(s->group) == GROUP_STOPPED;
    return st == ST_OK ? st : err_in(err, st, "starting again");
}

/* True if what failed with `st` may be tried once more: fresh processes run then. */
static bool recover(struct session *s, enum status st, bool is_first, bool insists, struct err *err)
{
    struct err again = {{0}};
    bool is_refusal;

    if (st == ST_OK)
        return false;
    if (st == ST_CLOSED && group_end(s->group) == GROUP_STOPPED) {
        s->is_over = s->is_stopped = true;
        return false;
    }
    is_refusal = st != ST_TIMEOUT && group_end(s->group) != GROUP_DIED;
    if (is_refusal && !(is_first && insists))
        return false; /* the processes are well */
    if (restart(s, is_refusal, err, &again) != ST_OK) {
        *err = again;
        return false;
    }
    return is_first && (insists || st != ST_TIMEOUT);
}

static void forget(struct session *s)
{
    struct msg msg = {.verb = MSG_FORGET};

    if (!s->has_prompt)
        return;
    msg.forget = (struct msg_forget){s->prompt.number, s->snapshot};
    if (s->snapshot != 0)
        group_tell(s->group, GROUP_VERIFY, &msg);
    if (s->draft_has_prompt)
        group_tell(s->group, GROUP_DRAFT, &msg);
    s->has_prompt = s->draft_has_prompt = false;
    s->snapshot = 0;
}

enum status session_prefill(struct session *s, const struct session_prompt *prompt, double *seconds,
                            struct err *err)
{
    enum status st;

    CHECK(!s->is_over);
    forget(s);
    s->prompt = *prompt;
    s->has_prompt = true;
    /* One stop signal ends it: nothing that was measured is lost. */
    st = give_verify(s, 1, err);
    if (recover(s, st, true, prompt->insists, err)) {
        st = give_verify(s, 1, err);
        (void)recover(s, st, false, prompt->insists, err);
    }
    *seconds = s->prefill_s;
    return st;
}

enum status session_trial(struct session *s, const struct session_trial *call,
                          struct msg_result *out, struct err *err)
{
    struct msg answer = {0};
    enum status st;

    CHECK(!s->is_over && s->has_prompt);
    s->n_seen = 0;
    st = try_trial(s, call, &answer, err);
    if (recover(s, st, true, call->insists, err)) {
        st = try_trial(s, call, &answer, err);
        (void)recover(s, st, false, call->insists, err);
    }
    if (st == ST_OK)
        *out = answer.result; /* its tokens are the caller's now */
    return st;
}
