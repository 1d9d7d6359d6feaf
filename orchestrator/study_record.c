#include "orchestrator/study_record.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "metrics/metric.h"

static struct study_run *lock(struct study_place *p)
{
    pthread_mutex_lock(&p->run->lock);
    return p->run;
}

static void unlock(struct study_place *p)
{
    pthread_mutex_unlock(&p->run->lock);
}

/* ---- results ---- */

/* A draft on a device of another kind is held against nothing. */
static struct ceilings ceilings_at(const struct study_place *p)
{
    const struct place *place = &p->run->e->place[p->index % p->run->e->n_places];
    size_t kind = strcspn(place->verify, ":") + 1;
    struct ceilings c = p->run->models;

    ceilings_set_rates(&c, &p->verify);
    if (strncmp(place->verify, place->draft, kind) != 0)
        c.draft = (struct ceilings_model){0};
    return c;
}

static void count(const struct result *r)
{
    const struct msg_result *m = &r->meas;

    metric_add(METRIC_RUN_ROUNDS, m->rounds);
    metric_add(METRIC_RUN_TOKENS, m->n_tokens);
    metric_add(METRIC_RUN_PROPOSED, m->proposed);
    metric_add(METRIC_RUN_ACCEPTED, m->accepted);
    metric_add(METRIC_RUN_LINK_BYTES, m->link_bytes);
    metric_add_seconds(METRIC_RUN_DECODE_TIME, m->decode_s);
    metric_add_seconds(METRIC_RUN_LINK_STALL, m->link_wait_s);
    metric_add_seconds(METRIC_RUN_MESSAGE_TIME, m->message_s);
    metric_add(r->ok ? METRIC_RUN_TRIALS : METRIC_RUN_FAILED, 1);
}

static void note(const struct study_place *p, const struct result *r)
{
    if (r->ok)
        log_info(LOG_RUN, "trial=%u place=%u method=%s tok_per_s=%.2f accepted=%.2f", r->trial,
                 p->index + 1, method_name(r->method), result_tok_per_s(r), result_accepted(r));
    else
        log_error(LOG_RUN, "trial=%u place=%u failed: %s", r->trial, p->index + 1, r->reason);
}

enum status study_record_trial(struct study_place *p, const struct trial *t,
                               struct msg_result *meas, const char *reason, struct err *err)
{
    struct study_run *run = lock(p);
    struct result *r = &run->result[run->n_results++];
    enum status st;

    result_init(r, t, p->prefill_s, meas, reason);
    if (meas == NULL)
        result_set_log(r, group_log_tail(session_group(p->session)));
    else
        free(meas->token);
    snprintf(r->document_name, sizeof r->document_name, "%s",
             prompt_source_name(run->source, t->document));
    r->ceilings = ceilings_at(p);
    run->n_failed += meas == NULL;
    st = results_append(run->file, r, err);
    if (st == ST_OK)
        count(r);
    run_watch_trial(run->watch, p->index, r);
    note(p, r);
    unlock(p);
    return st;
}

void study_record_stop(struct study_run *run)
{
    pthread_mutex_lock(&run->lock);
    run->is_stopped = true;
    pthread_mutex_unlock(&run->lock);
    scheduler_stop(run->scheduler);
}

void study_record_tokens(struct study_run *run, const struct prompt *prompt, int32_t *token)
{
    pthread_mutex_lock(&run->lock);
    memcpy(token, prompt_source_tokens(run->source, prompt->document, prompt->prefill),
           prompt->prefill * sizeof *token);
    pthread_mutex_unlock(&run->lock);
}

/* ---- what the run shows ---- */

/* With the processes as they are now: only the place's own thread may ask. */
static void look(struct study_place *p)
{
    pid_t pid[GROUP_MEMBERS] = {0};

    for (int i = 0; p->session != NULL && i < GROUP_MEMBERS; i++)
        pid[i] = group_pid(session_group(p->session), (enum group_member)i);
    run_watch_processes(p->run->watch, p->index, pid);
}

void study_record_phase(struct study_place *p, enum watch_work work, const struct trial *t)
{
    struct study_run *run = lock(p);

    look(p);
    run_watch_phase(run->watch, p->index, work, t);
    unlock(p);
}

void study_record_share(struct study_place *p, uint64_t done, uint64_t total)
{
    run_watch_share(lock(p)->watch, p->index, done, total);
    unlock(p);
}

void study_record_tick(struct study_place *p)
{
    struct study_run *run = lock(p);

    look(p);
    run_watch_tick(run->watch);
    unlock(p);
}

void study_record_notice(struct study_place *p, const char *words)
{
    run_watch_notice(lock(p)->watch, p->index, words);
    unlock(p);
}
