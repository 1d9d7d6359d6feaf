#include "orchestrator/study_record.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "orchestrator/tables.h"

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

static void show(struct study_run *run, const struct study_place *p, const struct result *r)
{
    progress_clear(run->progress);
    tables_trial(stdout, r);
    fflush(stdout);
    progress_cell_done(run->progress, result_tok_per_s(r));
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
    run->n_failed += meas == NULL;
    st = results_append(run->file, r, err);
    show(run, p, r);
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

void study_record_phase(struct study_place *p, const char *fmt, ...)
{
    struct study_run *run = lock(p);
    char words[PROGRESS_WORDS];
    va_list args;

    va_start(args, fmt);
    vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    if (run->n_places > 1)
        progress_phase(run->progress, "place %u: %s", p->index + 1, words);
    else
        progress_phase(run->progress, "%s", words);
    unlock(p);
}

void study_record_share(struct study_place *p, uint64_t done, uint64_t total)
{
    progress_share(lock(p)->progress, done, total);
    unlock(p);
}

void study_record_tick(struct study_place *p)
{
    progress_draw(lock(p)->progress);
    unlock(p);
}

void study_record_notice(struct study_place *p, const char *words)
{
    struct study_run *run = lock(p);

    progress_clear(run->progress);
    if (run->n_places > 1)
        fprintf(stderr, "mspeckv run: place %u: %s\n", p->index + 1, words);
    else
        fprintf(stderr, "mspeckv run: %s\n", words);
    unlock(p);
}

void study_record_idle(struct study_place *p)
{
    progress_clear(lock(p)->progress);
    unlock(p);
}
