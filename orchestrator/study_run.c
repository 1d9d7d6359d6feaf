#include "orchestrator/study_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "orchestrator/tables.h"

/* Enough rounds to touch every buffer and code path once. */
enum { WARMUP_TOKENS = 16 };

/* ---- watching ---- */

static void on_progress(void *self, const struct msg_progress *progress)
{
    progress_share(((struct study_run *)self)->progress, progress->done, progress->total);
}

static void on_tick(void *self)
{
    progress_draw(((struct study_run *)self)->progress);
}

static void on_notice(void *self, const char *words)
{
    struct study_run *run = self;

    progress_clear(run->progress);
    fprintf(stderr, "mspeckv run: %s\n", words);
}

struct session_watch study_run_watch(struct study_run *run)
{
    return (struct session_watch){
        .self = run, .progress = on_progress, .tick = on_tick, .notice = on_notice};
}

/* ---- one trial ---- */

/* Takes `meas`'s tokens. `meas` NULL: failed with `reason`. */
static enum status record(struct study_run *run, const struct trial *t, double prefill_s,
                          struct msg_result *meas, const char *reason, struct err *err)
{
    struct result *r = &run->result[run->n_results++];
    enum status st;

    result_init(r, t, prefill_s, meas, reason);
    if (meas == NULL)
        result_set_log(r, group_log_tail(session_group(run->session)));
    snprintf(r->document_name, sizeof r->document_name, "%s",
             prompt_source_name(run->source, t->document));
    if (meas != NULL)
        free(meas->token);
    run->n_failed += meas == NULL;
    st = results_append(run->file, r, err);
    progress_clear(run->progress);
    tables_trial(stdout, r);
    fflush(stdout);
    progress_cell_done(run->progress, result_tok_per_s(r));
    if (meas == NULL)
        log_error(LOG_RUN, "trial=%u failed: %s", t->number, reason);
    else
        log_info(LOG_RUN, "trial=%u method=%s tok_per_s=%.2f accepted=%.2f", t->number,
                 method_name(t->method), result_tok_per_s(r), result_accepted(r));
    return st;
}

/* True once the user's first stop has come: the trial at hand was the last. */
static bool stop_is_wanted(struct study_run *run)
{
    run->is_stopped = run->is_stopped || proc_stop_requested();
    return run->is_stopped;
}

static enum status one_trial(struct study_run *run, const struct trial *t, double prefill_s,
                             struct err *err)
{
    struct msg_trial msg = matrix_message(t, 0);
    struct session_trial call = {
        .trial = &msg, .timeout_s = run->e->timeout_s, .stop_at = 2, .insists = true};
    struct msg_result meas = {0};
    struct err why = {{0}};
    enum status st;

    progress_phase(run->progress, "%s, %u tokens, seed %llu", method_name(t->method),
                   t->setting.prefill, (unsigned long long)t->seed);
    st = session_trial(run->session, &call, &meas, &why);
    if (session_is_stopped(run->session)) {
        run->is_stopped = true;
        return ST_OK; /* it was not finished, so it is missing and not failed */
    }
    st = record(run, t, prefill_s, st == ST_OK ? &meas : NULL, why.text, err);
    if (st == ST_OK && session_is_over(run->session))
        return err_set(err, ST_CLOSED, "%s", why.text);
    return st;
}

/* Discarded. What fails here fails again in the trial, which says so. */
static void warm_up(struct study_run *run, const struct trial *t)
{
    struct msg_trial msg = matrix_message(t, 0);
    struct session_trial call = {.trial = &msg, .timeout_s = run->e->timeout_s, .stop_at = 1};
    struct msg_result meas = {0};
    struct err ignored = {{0}};

    if (msg.gen_len > WARMUP_TOKENS)
        msg.gen_len = WARMUP_TOKENS;
    progress_phase(run->progress, "warm-up of %s", method_name(t->method));
    if (session_trial(run->session, &call, &meas, &ignored) == ST_OK)
        free(meas.token);
    else
        log_warn(LOG_RUN, "warm-up of %s: %s", method_name(t->method), ignored.text);
}

/* ---- one prompt ---- */

static bool is_done(const struct study_run *run, const struct trial *t)
{
    return run->done != NULL && run->done[t->number];
}

static bool all_are_done(const struct study_run *run, const struct prompt *p)
{
    for (uint32_t i = 0; i < p->n_trials; i++)
        if (!is_done(run, &run->matrix->trial[p->first_trial + i]))
            return false;
    return true;
}

static enum status prompt_failed(struct study_run *run, const struct prompt *p,
                                 const struct err *why, struct err *err)
{
    char *reason = mem_printf("prefill: %s", why->text);
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < p->n_trials; i++)
        if (!is_done(run, &run->matrix->trial[p->first_trial + i]))
            st = record(run, &run->matrix->trial[p->first_trial + i], NAN, NULL, reason, err);
    free(reason);
    if (st == ST_OK && session_is_over(run->session))
        return err_set(err, ST_CLOSED, "%s", why->text);
    return st;
}

static bool stopped_now(struct study_run *run)
{
    run->is_stopped = run->is_stopped || session_is_stopped(run->session);
    return stop_is_wanted(run);
}

static enum status one_prompt(struct study_run *run, uint32_t number, bool warm[METHOD_COUNT],
                              struct err *err)
{
    const struct prompt *p = &run->matrix->prompt[number];
    struct session_prompt prompt = {number + 1,
                                    prompt_source_tokens(run->source, p->document, p->prefill),
                                    p->prefill, .insists = true};
    struct err why = {{0}};
    double prefill_s = 0;
    enum status st;

    progress_phase(run->progress, "prefill, document %u, %u tokens", p->document + 1, p->prefill);
    st = session_prefill(run->session, &prompt, &prefill_s, &why);
    if (session_is_stopped(run->session)) {
        run->is_stopped = true;
        return ST_OK;
    }
    if (st != ST_OK)
        return prompt_failed(run, p, &why, err);
    for (uint32_t i = 0; st == ST_OK && i < p->n_trials && !stopped_now(run); i++) {
        const struct trial *t = &run->matrix->trial[p->first_trial + i];
        if (is_done(run, t))
            continue;
        if (run->e->warmup && !warm[t->method]) {
            warm[t->method] = true;
            warm_up(run, t);
        }
        if (!stopped_now(run) && !session_is_over(run->session))
            st = one_trial(run, t, prefill_s, err);
        else if (!run->is_stopped)
            st = err_set(err, ST_CLOSED, "the processes cannot be started again");
    }
    return st;
}

enum status study_run(struct study_run *run, struct err *err)
{
    bool warm[METHOD_COUNT] = {false};
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < run->matrix->n_prompts && !stopped_now(run); i++)
        if (!all_are_done(run, &run->matrix->prompt[i]))
            st = one_prompt(run, i, warm, err);
    progress_clear(run->progress);
    return st;
}
