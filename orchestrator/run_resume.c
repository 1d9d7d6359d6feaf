#include "orchestrator/run_resume.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "orchestrator/command.h"

/* ---- the results ---- */

static bool same_uses(const struct result *r, const struct trial *t)
{
    return r->n_uses == t->n_uses && memcmp(r->use, t->use, t->n_uses * sizeof *t->use) == 0;
}

/* What of a result is not as its trial would have it; NULL: nothing. */
static const char *foreign_field(const struct result *r, const struct trial *t,
                                 const struct run_plan *plan)
{
    if (r->method != t->method)
        return "method";
    if (r->document != t->document)
        return "document";
    if (strcmp(r->document_name, prompt_source_name(plan->source, t->document)) != 0)
        return "document_name";
    if (r->seed != t->seed)
        return "seed";
    if (!setting_same(&r->setting, &t->setting))
        return "setting";
    if (!same_uses(r, t))
        return "cells";
    if (!r->ok)
        return NULL;
    if (r->meas.n_tokens > t->setting.gen_len ||
        (r->meas.n_tokens < t->setting.gen_len && !r->meas.eos))
        return "tokens";
    for (uint32_t i = 0; i < r->meas.n_tokens; i++)
        if ((uint32_t)r->meas.token[i] >= plan->shape.n_vocab)
            return "tokens";
    return NULL;
}

enum status run_resume_match(const struct results *read, const struct run_plan *plan, bool *done,
                             uint32_t *n_done, struct err *err)
{
    const struct matrix *m = plan->matrix;

    *n_done = 0;
    for (uint32_t i = 0; i < read->n; i++) {
        const struct result *r = &read->result[i];
        const char *field = "trial";
        if (r->trial < m->n_trials)
            field = foreign_field(r, &m->trial[r->trial], plan);
        if (field != NULL)
            return err_set(err, ST_CORRUPT,
                           "results.jsonl:%u: field \"%s\" is not what this experiment gives; "
                           "the line is edited or of another run",
                           i + 1, field);
        if (done[r->trial])
            return err_set(err, ST_CORRUPT,
                           "results.jsonl:%u: trial %u has finished on a line before; one line is "
                           "edited or of another run",
                           i + 1, r->trial);
        done[r->trial] = r->ok;
        *n_done += r->ok;
    }
    return ST_OK;
}

/* Takes the results that there are; a run killed early has no file yet. */
static enum status take_results(struct run_job *job, size_t *dropped_bytes, struct err *err)
{
    char *path = mem_printf("%s/results.jsonl", job->folder);
    struct results read = {.n = 0};
    bool exists = access(path, F_OK) == 0;
    enum status st = exists ? results_read(&read, path, job->plan.e, err) : ST_OK;

    job->done = mem_array(job->plan.matrix->n_trials, sizeof *job->done);
    if (st == ST_OK) {
        st = run_resume_match(&read, &job->plan, job->done, &job->n_done, err);
        if (st != ST_OK)
            st = err_in(err, st, "%s", job->folder);
    }
    if (st == ST_OK && read.n > 0 && !job->record.is_started)
        st = err_set(err, ST_CORRUPT,
                     "%s: it has results, and its manifest.json says that nothing ran; one of "
                     "them is edited",
                     job->folder);
    if (st == ST_OK)
        st = exists ? results_continue(&job->results, path, read.whole_bytes, job->plan.e, err)
                    : results_open(&job->results, path, job->plan.e, err);
    *dropped_bytes = read.torn_bytes;
    job->run.result = read.result; /* the job's now */
    job->run.n_results = read.n;
    free(path);
    return st;
}

/* ---- the experiment ---- */

static enum status read_experiment(struct run_job *job, struct err *err)
{
    const struct run_record *r = &job->record;

    if (chdir(r->directory) != 0)
        return err_set(err, ST_NOT_FOUND, "%s, where the run began: %s", r->directory,
                       strerror(errno));
    job->text = mem_strdup(r->text);
    job->directory = mem_strdup(r->directory);
    job->set = r->set;
    job->n_sets = r->n_sets;
    return experiment_parse(&job->plan.e, r->file, r->text, strlen(r->text), r->set, r->n_sets,
                            err);
}

static enum status check_same(const struct run_job *job, struct err *err)
{
    const struct manifest now = run_job_manifest(job);
    char *text = manifest_text(&now);
    enum status st = job->any_machine ? run_record_check_study(&job->record, text, err)
                                      : run_record_check(&job->record, text, err);

    free(text);
    return st;
}

/* The directory may lack it when a kill came early. */
static enum status make_logs(const struct run_job *job, struct err *err)
{
    char *path = mem_printf("%s/logs", job->folder);
    enum status st = ST_OK;

    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        st = err_set(err, ST_IO, "mkdir %s: %s", path, strerror(errno));
    free(path);
    return st;
}

enum status run_resume(struct run_job *job, const char *dir, size_t *dropped_bytes, struct err *err)
{
    const char *commit = command_commit[0] != '\0' ? command_commit : NULL;
    enum status st;

    job->folder = realpath(dir, NULL);
    if (job->folder == NULL)
        return err_set(err, ST_NOT_FOUND, "%s: %s", dir, strerror(errno));
    st = run_record_read(&job->record, job->folder, command_version, commit, err);
    if (st == ST_OK)
        st = run_lock_take(&job->lock, job->folder, err);
    if (st != ST_OK)
        return st;
    /* The run that held the lock may have written it since. */
    run_record_release(&job->record);
    st = run_record_read(&job->record, job->folder, command_version, commit, err);
    if (st == ST_OK)
        st = read_experiment(job, err);
    if (st == ST_OK)
        st = run_job_prepare(job, err);
    if (st == ST_OK)
        st = check_same(job, err);
    if (st == ST_OK)
        st = take_results(job, dropped_bytes, err);
    if (st == ST_OK)
        st = make_logs(job, err);
    return st == ST_OK ? run_job_open_log(job, err) : st;
}
