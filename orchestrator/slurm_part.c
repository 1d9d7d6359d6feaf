#include "orchestrator/slurm_part.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "orchestrator/command.h"
#include "orchestrator/run_begin.h"
#include "orchestrator/run_resume.h"
#include "orchestrator/slurm_folder.h"
#include "orchestrator/slurm_rate.h"

/* The run's words, and behind them one that fixes the rate of a simulated link. */
static enum status list_words(struct slurm_part *part, const char *run, size_t *n, struct err *err)
{
    const struct run_record *r = &part->record;
    struct experiment *e = NULL;
    double memory_gbps = 0;
    enum status st =
        experiment_parse(&e, r->file, r->text, strlen(r->text), r->set, r->n_sets, err);

    if (st != ST_OK)
        return st;
    part->set = mem_array(r->n_sets + 1, sizeof *part->set);
    memcpy(part->set, r->set, r->n_sets * sizeof *part->set);
    *n = r->n_sets;
    if (e->link == LINK_RATIO) {
        st = slurm_rate_agree(&memory_gbps, run, e, err);
        part->link = mem_printf("link={simulate_gbps: %.9f}", memory_gbps / e->link_value);
        part->set[(*n)++] = part->link;
    }
    experiment_free(e);
    return st;
}

/* What a kill before the first manifest leaves; anything else stays and is
 * refused by run_begin. */
static void clear_folder(const char *folder)
{
    static const char *const left[] = {"lock", "manifest.json.tmp", "logs/mspeckv.log"};
    char *path;

    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        path = mem_printf("%s/%s", folder, left[i]);
        unlink(path);
        free(path);
    }
    path = mem_printf("%s/logs", folder);
    rmdir(path);
    free(path);
}

static enum status begin(struct slurm_part *part, const char *run, const char *folder,
                         struct err *err)
{
    const struct run_record *r = &part->record;
    struct run_begin from = {.file = r->file, .out = folder, .text = r->text};
    enum status st = list_words(part, run, &from.n_sets, err);

    from.set = part->set;
    if (st == ST_OK)
        clear_folder(folder);
    return st == ST_OK ? run_begin(part->job, &from, err) : st;
}

static enum status resume(struct slurm_part *part, const char *folder, struct err *err)
{
    size_t dropped_bytes = 0;
    enum status st = run_resume(part->job, folder, &dropped_bytes, err);

    if (st == ST_OK && dropped_bytes > 0)
        fprintf(stderr, "%s: its torn last line of %zu bytes is dropped\n", folder, dropped_bytes);
    return st;
}

static enum status open_folder(struct slurm_part *part, const char *run, struct err *err)
{
    char *folder = slurm_folder_part(run, part->number);
    char *manifest = mem_printf("%s/manifest.json", folder);
    enum status st =
        access(manifest, F_OK) == 0 ? resume(part, folder, err) : begin(part, run, folder, err);

    free(manifest);
    free(folder);
    return st;
}

static enum status check_run(const struct slurm_part *part, struct err *err)
{
    const struct manifest now = run_job_manifest(part->job);
    char *text = manifest_text(&now);
    enum status st = run_record_check_study(&part->record, text, err);

    free(text);
    return st;
}

/* The trials of other prompts count as done. */
static enum status leave_others(struct slurm_part *part, struct err *err)
{
    struct run_job *job = part->job;
    const struct matrix *m = job->plan.matrix;

    if (part->number >= m->n_prompts)
        return err_set(err, ST_INVALID, "task %u: the run has the tasks 0 to %u", part->number,
                       m->n_prompts - 1);
    if (job->done == NULL)
        job->done = mem_array(m->n_trials, sizeof *job->done);
    for (uint32_t i = 0; i < m->n_trials; i++) {
        bool is_other = m->trial[i].prompt != part->number;
        job->n_done += is_other && !job->done[i];
        job->done[i] = job->done[i] || is_other;
    }
    return ST_OK;
}

enum status slurm_part_open(struct slurm_part *part, struct err *err)
{
    const char *commit = command_commit[0] != '\0' ? command_commit : NULL;
    char *run = realpath(part->run, NULL);
    enum status st;

    if (run == NULL)
        return err_set(err, ST_NOT_FOUND, "%s: %s", part->run, strerror(errno));
    part->job->is_part = true;
    st = run_record_read(&part->record, run, command_version, commit, err);
    if (st == ST_OK && chdir(part->record.directory) != 0)
        st = err_set(err, ST_NOT_FOUND, "%s, where the run began: %s", part->record.directory,
                     strerror(errno));
    if (st == ST_OK)
        st = slurm_folder_make(run, err);
    if (st == ST_OK)
        st = open_folder(part, run, err);
    if (st == ST_OK)
        st = check_run(part, err);
    free(run);
    return st == ST_OK ? leave_others(part, err) : st;
}

void slurm_part_release(struct slurm_part *part)
{
    run_record_release(&part->record);
    free(part->set);
    free(part->link);
    part->set = NULL;
    part->link = NULL;
}
