#include "orchestrator/study_place.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/trace.h"
#include "orchestrator/study_record.h"

/* Enough rounds to touch every buffer and code path once. */
enum { WARMUP_TOKENS = 16 };

/* ---- its processes ---- */

static void on_progress(void *self, const struct msg_progress *progress)
{
    study_record_share(self, progress->done, progress->total);
}

static void on_tick(void *self)
{
    study_record_tick(self);
}

static void on_notice(void *self, const char *words)
{
    study_record_notice(self, words);
}

/* Several places have a folder each. */
static enum status make_log_dir(struct study_place *p, const char *log_dir, struct err *err)
{
    if (p->run->n_places == 1) {
        p->log_dir = mem_strdup(log_dir);
        return ST_OK;
    }
    p->log_dir = mem_printf("%s/place-%u", log_dir, p->index + 1);
    if (mkdir(p->log_dir, 0777) != 0 && errno != EEXIST)
        return err_set(err, ST_IO, "mkdir %s: %s", p->log_dir, strerror(errno));
    return ST_OK;
}

static enum status ask_store(struct study_place *p, struct err *err)
{
    struct msg hello = {.verb = MSG_HELLO}, answer = {0};
    const struct group_call call = {.member = GROUP_KVSTORE,
                                    .request = &hello,
                                    .want = MSG_WELCOME,
                                    .timeout_s = 60,
                                    .stop_at = 1};
    enum status st;

    hello.hello.protocol = MSG_VERSION;
    snprintf(hello.hello.client, sizeof hello.hello.client, "mspeckv");
    st = group_ask(session_group(p->session), &call, &answer, err);
    if (st == ST_OK)
        p->store = answer.welcome;
    return st;
}

static enum status open_session(struct study_place *p, const struct group_options *group,
                                struct err *err)
{
    const struct experiment *e = p->run->e;
    const struct place *place = &e->place[p->index % e->n_places];
    const struct session_watch watch = {
        .self = p, .progress = on_progress, .tick = on_tick, .notice = on_notice};
    struct group_options own = *group;
    enum status st;

    own.verify_device = place->verify;
    own.draft_device = place->draft;
    own.cpus = &place->cpus;
    own.numa_node = place->numa_node;
    own.log_dir = p->log_dir;
    if (own.metrics_port > 0)
        own.metrics_port += GROUP_MEMBERS * p->index;
    st = session_open(&p->session, &own, &watch, err);
    if (st != ST_OK)
        return st;
    p->verify = *group_ready(session_group(p->session), GROUP_VERIFY);
    return cpu_list_of_process(&p->cpus, group_pid(session_group(p->session), GROUP_VERIFY), err);
}

enum status study_place_open(struct study_place **out, struct study_run *run, uint32_t index,
                             const struct group_options *group, struct err *err)
{
    struct study_place *p = mem_zalloc(sizeof *p);
    uint64_t span = trace_begin(TRACE_START);
    enum status st;

    p->run = run;
    p->index = index;
    p->prompt = -1;
    *out = p;
    st = make_log_dir(p, group->log_dir, err);
    if (st == ST_OK)
        st = open_session(p, group, err);
    if (st == ST_OK)
        st = ask_store(p, err);
    trace_end(TRACE_START, span, index + 1, 0);
    return st != ST_OK && run->n_places > 1 ? err_in(err, st, "place %u", index + 1) : st;
}

void study_place_close(struct study_place *p)
{
    if (p == NULL)
        return;
    session_close(p->session);
    free(p->log_dir);
    free(p->token);
    free(p);
}

/* ---- one trial ---- */

/* True once the user's first stop has come: the trial at hand was the last. */
static bool stop_is_wanted(struct study_place *p)
{
    if (!proc_stop_requested() && !session_is_stopped(p->session))
        return scheduler_is_stopped(p->run->scheduler);
    study_record_stop(p->run);
    return true;
}

/* Its last words stand in `why`. Left to the other places if there are any. */
static enum status lost(struct study_place *p, const struct err *why, struct err *err)
{
    log_error(LOG_RUN, "place=%u lost: %s", p->index + 1, why->text);
    return err_set(err, ST_CLOSED, "%s", why->text);
}

static enum status one_trial(struct study_place *p, const struct trial *t, struct err *err)
{
    struct msg_trial msg = matrix_message(t, 0);
    struct session_trial call = {
        .trial = &msg, .timeout_s = p->run->e->timeout_s, .stop_at = 2, .insists = true};
    struct msg_result meas = {0};
    struct err why = {{0}};
    uint64_t begin = clock_now_ns(), span = trace_begin(TRACE_TRIAL);
    enum status st;

    study_record_phase(p, WATCH_DECODES, t);
    st = session_trial(p->session, &call, &meas, &why);
    trace_end(TRACE_TRIAL, span, msg.trial, t->method);
    if (session_is_stopped(p->session)) {
        study_record_stop(p->run);
        return ST_OK; /* it was not finished, so it is missing and not failed */
    }
    /* Not yet tried on processes that were well: another place may do it. */
    if (session_is_over(p->session) && scheduler_has_others(p->run->scheduler, p->index))
        return lost(p, &why, err);
    st = study_record_trial(p, t, st == ST_OK ? &meas : NULL, why.text, err);
    scheduler_ended(p->run->scheduler, p->index, clock_seconds_since(begin));
    if (st == ST_OK && session_is_over(p->session))
        return lost(p, &why, err);
    return st;
}

/* Discarded. What fails here fails again in the trial, which says so. */
static void warm_up(struct study_place *p, const struct trial *t)
{
    struct msg_trial msg = matrix_message(t, 0);
    struct session_trial call = {.trial = &msg, .timeout_s = p->run->e->timeout_s, .stop_at = 1};
    struct msg_result meas = {0};
    struct err ignored = {{0}};
    uint64_t span;

    if (p->is_warm[t->method] || !p->run->e->warmup)
        return;
    p->is_warm[t->method] = true;
    if (msg.gen_len > WARMUP_TOKENS)
        msg.gen_len = WARMUP_TOKENS;
    study_record_phase(p, WATCH_WARMS_UP, t);
    span = trace_begin(TRACE_WARM_UP);
    if (session_trial(p->session, &call, &meas, &ignored) == ST_OK)
        free(meas.token);
    else
        log_warn(LOG_RUN, "warm-up of %s: %s", method_name(t->method), ignored.text);
    trace_end(TRACE_WARM_UP, span, msg.trial, t->method);
}

/* ---- one group ---- */

static enum status prompt_failed(struct study_place *p, const struct err *why, struct err *err)
{
    char *reason = mem_printf("prefill: %s", why->text);
    enum status st = ST_OK;
    uint32_t trial;

    if (session_is_over(p->session) && scheduler_has_others(p->run->scheduler, p->index)) {
        free(reason);
        return lost(p, why, err);
    }
    p->prefill_s = NAN;
    while (st == ST_OK && scheduler_trial(p->run->scheduler, p->index, &trial)) {
        st = study_record_trial(p, &p->run->matrix->trial[trial], NULL, reason, err);
        scheduler_ended(p->run->scheduler, p->index, 0);
    }
    p->prompt = -1;
    free(reason);
    return st == ST_OK && session_is_over(p->session) ? lost(p, why, err) : st;
}

/* Part of a group may come back to the place on which its prompt stands. */
static enum status prefill(struct study_place *p, uint32_t number, struct err *why)
{
    const struct prompt *from = &p->run->matrix->prompt[number];
    struct session_prompt prompt = {.number = number + 1,
                                    .n_tokens = from->prefill,
                                    .timeout_s = p->run->e->timeout_s,
                                    .insists = true};
    uint64_t span;
    enum status st;

    if (p->prompt == number)
        return ST_OK;
    study_record_phase(p, WATCH_PREFILLS, &p->run->matrix->trial[from->first_trial]);
    p->prompt = -1;
    p->token = mem_resize(p->token, from->prefill, sizeof *p->token);
    study_record_tokens(p->run, from, p->token);
    prompt.token = p->token;
    span = trace_begin(TRACE_PROMPT);
    st = session_prefill(p->session, &prompt, &p->prefill_s, why);
    trace_end(TRACE_PROMPT, span, prompt.n_tokens, prompt.number);
    p->prompt = st == ST_OK ? (int64_t)number : -1;
    return st;
}

static enum status one_group(struct study_place *p, uint32_t number, struct err *err)
{
    struct scheduler *s = p->run->scheduler;
    struct err why = {{0}};
    uint32_t trial;
    enum status st = prefill(p, number, &why);

    if (stop_is_wanted(p))
        return ST_OK;
    if (st != ST_OK)
        return prompt_failed(p, &why, err);
    scheduler_prefilled(s, p->index, p->prefill_s);
    while (st == ST_OK && !stop_is_wanted(p) && scheduler_trial(s, p->index, &trial)) {
        const struct trial *t = &p->run->matrix->trial[trial];
        warm_up(p, t);
        if (!stop_is_wanted(p) && !session_is_over(p->session))
            st = one_trial(p, t, err);
        else if (session_is_over(p->session) && !session_is_stopped(p->session))
            st = err_set(err, ST_CLOSED, "the processes cannot be started again");
    }
    return st;
}

enum status study_place_run(struct study_place *p, struct err *err)
{
    struct scheduler *s = p->run->scheduler;
    enum status st = ST_OK;
    char name[TRACE_TEXT];
    uint32_t prompt;

    snprintf(name, sizeof name, "place %u", p->index + 1);
    trace_thread(name);
    while (st == ST_OK && !stop_is_wanted(p) && scheduler_group(s, p->index, &prompt))
        st = one_group(p, prompt, err);
    if (st == ST_CLOSED && scheduler_lost(s, p->index)) {
        study_record_notice(p, err->text);
        st = ST_OK;
    }
    if (st != ST_OK)
        scheduler_stop(s);
    session_close(p->session);
    p->session = NULL;
    study_record_phase(p, WATCH_ENDED, NULL);
    return st;
}
