#include "orchestrator/slurm_gather.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "orchestrator/command.h"
#include "orchestrator/run_resume.h"
#include "orchestrator/slurm_folder.h"
#include "orchestrator/slurm_manifest.h"

static const char *commit(void)
{
    return command_commit[0] != '\0' ? command_commit : NULL;
}

enum status slurm_gather_open(struct slurm_gather *g, struct run_job *job, struct err *err)
{
    const struct matrix *m = job->plan.matrix;
    const struct manifest now = run_job_manifest(job);

    *g = (struct slurm_gather){.job = job,
                               .now = manifest_text(&now),
                               .part = mem_array(m->n_prompts, sizeof *g->part),
                               .settled = mem_array(m->n_trials, sizeof *g->settled)};
    if (job->done == NULL)
        job->done = mem_array(m->n_trials, sizeof *job->done);
    for (uint32_t i = 0; i < m->n_trials; i++)
        g->settled[i] = job->done[i];
    if (job->record.root != NULL)
        return ST_OK;
    return run_record_read(&job->record, job->folder, command_version, commit(), err);
}

void slurm_gather_close(struct slurm_gather *g)
{
    free(g->now);
    free(g->part);
    free(g->settled);
    *g = (struct slurm_gather){.job = NULL};
}

/* ---- one result ---- */

static void show(const struct slurm_gather *g, const struct result *r)
{
    if (g->is_shown)
        run_watch_trial(g->job->run.watch, 0, r);
}

/* Takes `r`. */
static enum status append(struct slurm_gather *g, struct result *r, struct err *err)
{
    struct run_job *job = g->job;
    enum status st = results_append(job->results, r, err);

    job->run.result =
        mem_resize(job->run.result, (size_t)job->run.n_results + 1, sizeof *job->run.result);
    job->run.result[job->run.n_results++] = *r;
    job->n_done += r->ok && !job->done[r->trial];
    job->done[r->trial] = job->done[r->trial] || r->ok;
    g->settled[r->trial] = g->settled[r->trial] || r->ok || g->has_begun;
    show(g, r);
    return st;
}

/* The failure stands in the run already: a gathering before this one took it. */
static bool is_taken(const struct slurm_gather *g, const struct result *r)
{
    const struct study_run *run = &g->job->run;

    for (uint32_t i = run->n_results; i > 0; i--) {
        const struct result *old = &run->result[i - 1];
        if (old->trial == r->trial)
            return !old->ok && strcmp(old->reason, r->reason) == 0;
    }
    return false;
}

/* Takes what the part has from line n_read on out of `read`. */
static enum status take_new(struct slurm_gather *g, struct slurm_gathered *part,
                            struct results *read, struct err *err)
{
    enum status st = ST_OK;

    while (st == ST_OK && part->n_read < read->n) {
        struct result *r = &read->result[part->n_read++];
        if (g->job->done[r->trial] || (!r->ok && !g->has_begun && is_taken(g, r)))
            continue;
        st = append(g, r, err);
        *r = (struct result){.n_uses = 0};
    }
    return st;
}

/* ---- one part ---- */

/* *is_there: it has started, and is of this run. */
static enum status check_part(struct slurm_gather *g, uint32_t number, bool *is_there,
                              struct err *err)
{
    struct run_job *job = g->job;
    char *folder = slurm_folder_part(job->folder, number);
    struct run_record part = {.root = NULL};
    enum status st = run_record_read(&part, folder, command_version, commit(), err);

    *is_there = false;
    if (st == ST_NOT_FOUND) {
        st = ST_OK; /* its task has not come to that yet */
    } else if (st == ST_OK && part.is_started) {
        st = run_record_check_study(&part, g->now, err);
        if (st == ST_OK && !slurm_manifest_has_part(&job->record, number))
            st = slurm_manifest_part(&job->record, &part, number, err);
        *is_there = st == ST_OK;
        job->verify.memory_gbps = job->record.memory_gbps;
        job->verify.link_gbps = job->record.link_gbps;
        job->verify.device_link_gbps = job->record.device_link_gbps;
    }
    run_record_release(&part);
    free(folder);
    return st;
}

static enum status read_results(struct slurm_gather *g, uint32_t number, const char *path,
                                struct err *err)
{
    const struct run_plan *plan = &g->job->plan;
    bool *done = mem_array(plan->matrix->n_trials, sizeof *done);
    struct results read = {.n = 0};
    uint32_t n_done = 0;
    enum status st = results_read(&read, path, plan->e, err);

    if (st == ST_OK && run_resume_match(&read, plan, done, &n_done, err) != ST_OK)
        st = err_in(err, ST_CORRUPT, "part %u", number);
    if (st == ST_OK)
        st = take_new(g, &g->part[number], &read, err);
    results_release(&read);
    free(done);
    return st;
}

static enum status take_part(struct slurm_gather *g, uint32_t number, struct err *err)
{
    struct slurm_gathered *part = &g->part[number];
    char *folder = slurm_folder_part(g->job->folder, number);
    char *path = mem_printf("%s/results.jsonl", folder);
    struct stat info;
    enum status st = ST_OK;

    if (stat(path, &info) == 0 && (size_t)info.st_size != part->n_bytes) {
        if (!part->is_checked)
            st = check_part(g, number, &part->is_checked, err);
        if (st == ST_OK && part->is_checked)
            st = read_results(g, number, path, err);
        if (part->is_checked)
            part->n_bytes = (size_t)info.st_size;
    }
    free(path);
    free(folder);
    return st;
}

enum status slurm_gather_take(struct slurm_gather *g, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < g->job->plan.matrix->n_prompts; i++)
        st = take_part(g, i, err);
    g->has_begun = true;
    return st;
}

/* ---- what is left ---- */

bool slurm_gather_is_settled(const struct slurm_gather *g, uint32_t part)
{
    const struct prompt *p = &g->job->plan.matrix->prompt[part];

    for (uint32_t i = 0; i < p->n_trials; i++)
        if (!g->settled[p->first_trial + i])
            return false;
    return true;
}

enum status slurm_gather_fail(struct slurm_gather *g, uint32_t part, const char *reason,
                              const char *log, struct err *err)
{
    const struct run_plan *plan = &g->job->plan;
    const struct prompt *p = &plan->matrix->prompt[part];
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < p->n_trials; i++) {
        const struct trial *t = &plan->matrix->trial[p->first_trial + i];
        struct result r;
        if (g->settled[t->number])
            continue;
        result_init(&r, t, NAN, NULL, reason);
        result_set_log(&r, log);
        snprintf(r.document_name, sizeof r.document_name, "%s",
                 prompt_source_name(plan->source, t->document));
        st = append(g, &r, err);
    }
    return st;
}

/* ---- before something else ---- */

static enum status refuse_live_job(const struct run_job *job, struct err *err)
{
    const uint32_t n = job->plan.matrix->n_prompts;
    struct slurm_task *task = mem_array(n, sizeof *task);
    char number[SLURM_JOB_TEXT];
    uint32_t attempt;
    enum status st = slurm_folder_last_job(job->folder, number, &attempt, err);

    if (st == ST_NOT_FOUND) {
        free(task);
        return ST_OK;
    }
    if (st == ST_OK)
        st = slurm_queue_ask(number, task, n, err);
    for (uint32_t i = 0; st == ST_OK && i < n; i++)
        if (task[i].is_alive)
            st = err_set(err, ST_STALE,
                         "%s: Slurm job %s is still in the queue; `--launcher slurm` goes on "
                         "watching it, `scancel %s` ends it",
                         job->folder, number, number);
    free(task);
    return st;
}

enum status slurm_gather_before(struct run_job *job, struct err *err)
{
    struct slurm_gather g = {.job = NULL};
    enum status st;

    if (!slurm_folder_exists(job->folder))
        return ST_OK;
    st = refuse_live_job(job, err);
    if (st == ST_OK)
        st = slurm_gather_open(&g, job, err);
    if (st == ST_OK)
        st = slurm_gather_take(&g, err);
    /* The rest runs here: that is right only where the parts ran on such a machine. */
    if (st == ST_OK)
        st = run_record_check(&job->record, g.now, err);
    slurm_gather_close(&g);
    return st;
}
