#include "orchestrator/run_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/trace.h"
#include "metrics/metric_server.h"
#include "orchestrator/command.h"
#include "orchestrator/metric_targets.h"
#include "orchestrator/report_source.h"
#include "orchestrator/run_heading.h"
#include "orchestrator/study_place.h"
#include "orchestrator/summary_files.h"
#include "orchestrator/tables.h"
#include "orchestrator/trace_folder.h"
#include "orchestrator/trace_merge.h"
#include "orchestrator/watch_flags.h"

/* ---- before anything runs ---- */

enum status run_job_prepare(struct run_job *job, struct err *err)
{
    struct run_plan *plan = &job->plan;
    struct memory_room room;
    enum status st = run_plan_fill(plan, err);

    memory_room_ask(&room);
    machine_read(&job->machine, "");
    if (st == ST_OK && !job->any_machine)
        st = memory_plan_check(&plan->memory, &plan->shape, &plan->need, &room, err);
    if (st == ST_OK)
        st = target_shape_fingerprint(&job->target_fingerprint, plan->e->target, err);
    if (st == ST_OK && plan->speculates)
        st = target_shape_fingerprint(&job->draft_fingerprint, plan->e->draft, err);
    return st;
}

struct manifest run_job_manifest(const struct run_job *job)
{
    const struct run_plan *plan = &job->plan;
    const struct msg_welcome *store = &job->store;

    return (struct manifest){.e = plan->e,
                             .machine = &job->machine,
                             .matrix = plan->matrix,
                             .source = plan->source,
                             .version = command_version,
                             .commit = command_commit[0] != '\0' ? command_commit : NULL,
                             .argc = job->argc,
                             .argv = job->argv,
                             .directory = job->directory,
                             .text = job->text,
                             .set = job->set,
                             .n_sets = job->n_sets,
                             .target_fingerprint = job->target_fingerprint,
                             .draft_fingerprint = job->draft_fingerprint,
                             .random_target = plan->random_target,
                             .random_draft = plan->random_draft,
                             .n_layers = plan->shape.n_layers,
                             .is_started = store->arena_bytes > 0,
                             .arena_kind = plan->e->arena,
                             .arena_bytes = store->arena_bytes,
                             .huge_page_bytes = store->huge_page_bytes,
                             .numa_node =
                                 store->numa_node == UINT32_MAX ? -1 : (int)store->numa_node,
                             .numa_local_share = store->numa_local_share,
                             .place = (const struct study_place *const *)job->run.place,
                             .n_places = job->run.n_places,
                             .memory_gbps = job->verify.memory_gbps,
                             .link_gbps = job->verify.link_gbps,
                             .link_simulated = job->verify.link_gbps > 0,
                             .device_link_gbps = job->verify.device_link_gbps};
}

enum status run_job_open_log(struct run_job *job, struct err *err)
{
    char *path;
    enum status st;

    job->log_dir = mem_printf("%s/logs", job->folder);
    path = mem_printf("%s/mspeckv.log", job->log_dir);
    st = log_open("mspeckv", path, LOG_INFO, err);
    free(path);
    if (st != ST_OK || !job->trace)
        return st;
    path = trace_folder_next(job->log_dir, "mspeckv");
    st = trace_open("mspeckv", path, err);
    free(path);
    return st;
}

/* ---- the processes ---- */

static enum status open_places(struct run_job *job, struct err *err)
{
    const struct experiment *e = job->plan.e;
    const struct run_record *frozen = &job->record;
    bool paced = frozen->is_started && frozen->link_gbps > 0;
    const struct metric_address metrics = metric_server_address();
    bool has_metrics = metrics.host[0] != '\0';
    const struct group_options group = {.target = e->target,
                                        .draft = job->plan.speculates ? e->draft : NULL,
                                        .threads = e->threads,
                                        .link = paced ? LINK_GBPS : e->link,
                                        .link_value = paced ? frozen->link_gbps : e->link_value,
                                        .sinks = e->sinks,
                                        .window = e->window,
                                        .retrieval_tokens = job->plan.memory.retrieval_tokens,
                                        .f32_base = job->plan.memory.f32_base,
                                        .arena = e->arena,
                                        .arena_bytes = job->plan.need.arena_bytes,
                                        .log_dir = job->log_dir,
                                        .trace = job->trace,
                                        .metrics_host = has_metrics ? metrics.host : NULL,
                                        .metrics_port =
                                            job->metrics_any_port ? 0 : metrics.port + 1u};
    enum status st = has_metrics && group.metrics_port + GROUP_MEMBERS * e->parallel > UINT16_MAX
                         ? metric_targets_no_port(&metrics, err)
                         : study_run_open(&job->run, &group, err);

    if (st == ST_OK && has_metrics)
        st = metric_targets_write(&job->run, job->folder, err);
    if (st == ST_OK)
        job->verify = job->run.place[0]->verify;
    if (st == ST_OK && frozen->is_started) {
        job->verify.memory_gbps = frozen->memory_gbps;
        job->verify.link_gbps = frozen->link_gbps;
        job->verify.device_link_gbps = frozen->device_link_gbps;
    }
    return st;
}

/* A run that goes on keeps what was measured when it began. */
static enum status write_manifest(struct run_job *job, struct err *err)
{
    struct manifest m;
    char *path;
    enum status st;

    if (job->record.is_started)
        return run_record_note(&job->record, job->argc, job->argv, err);
    job->store = job->run.place[0]->store;
    m = run_job_manifest(job);
    path = mem_printf("%s/manifest.json", job->folder);
    st = manifest_write(&m, path, err);
    free(path);
    return st;
}

/* ---- the summary ---- */

/* Also of what a stop or a failure has left. */
static enum status write_summary(struct run_job *job, struct err *err)
{
    struct summary *summary = NULL;
    enum status st;

    summary_open(&summary, job->plan.e, job->run.result, job->run.n_results, job->verify.link_gbps);
    summary->device_link_gbps = job->verify.device_link_gbps;
    summary->random_weights = job->plan.random_target || job->plan.random_draft;
    summary->n_skipped = prompt_source_skipped(job->plan.source);
    tables_print(stdout, summary);
    st = summary_files_write(summary, job->folder, err);
    summary_close(summary);
    printf("\n%s: manifest.json, results.jsonl, summary.{json,csv,md}, logs/\n", job->folder);
    return st;
}

/* The results stand without it, so a report that cannot be made fails nothing. */
static void write_report(const struct run_job *job)
{
    struct err err = {{0}};

    if (report_write(job->folder, &err) == ST_OK) {
        printf("%s: report.html, plots/\n", job->folder);
        return;
    }
    log_warn(LOG_RUN, "no report: %s", err.text);
    fprintf(stderr, "mspeckv run: no report: %s; `mspeckv report %s` makes one\n", err.text,
            job->folder);
}

/* The same holds for the timeline: the traces it is made of stay in logs/. */
static void write_trace(const struct run_job *job)
{
    char *path = mem_printf("%s/trace.json", job->folder), *said = NULL;
    struct err err = {{0}};

    if (trace_merge(path, job->log_dir, &said, &err) == ST_OK) {
        printf("%s: %s\n", path, said);
    } else {
        log_warn(LOG_RUN, "no trace.json: %s", err.text);
        fprintf(stderr, "mspeckv run: no trace.json: %s\n", err.text);
    }
    free(said);
    free(path);
}

/* ---- the run ---- */

static enum status run_elsewhere(struct run_job *job, struct err *err)
{
    run_watch_begin(&job->watch, job->plan.e->name, job->plan.matrix->n_trials - job->n_done, 1);
    return job->trials(job, err);
}

static enum status verdict(const struct run_job *job, struct err *err)
{
    if (job->run.is_stopped)
        return err_set(err, ST_CLOSED,
                       "stopped after %u of %u trials; `mspeckv run --resume %s` goes on",
                       job->run.n_results, job->plan.matrix->n_trials, job->folder);
    if (job->run.n_failed > 0)
        return err_set(err, ST_IO,
                       "%u of %u trials failed; %s/results.jsonl says why, `mspeckv run --resume "
                       "%s` tries them again",
                       job->run.n_failed, job->plan.matrix->n_trials, job->folder, job->folder);
    return ST_OK;
}

static enum status run_trials(struct run_job *job, struct err *err)
{
    const struct run_plan *plan = &job->plan;
    const struct run_heading heading = {.e = plan->e,
                                        .source = plan->source,
                                        .matrix = plan->matrix,
                                        .folder = job->folder,
                                        .verify = &job->verify,
                                        .run = &job->run,
                                        .arena_bytes = plan->need.arena_bytes,
                                        .random_target = plan->random_target,
                                        .random_draft = plan->random_draft};
    enum status st = open_places(job, err);

    if (st == ST_OK)
        st = write_manifest(job, err);
    if (st != ST_OK)
        return st;
    if (job->watch.mode != WATCH_QUIET)
        run_heading_print(stdout, &heading);
    job->watch.link_gbps =
        job->verify.link_gbps > 0 ? job->verify.link_gbps : job->verify.device_link_gbps;
    job->watch.arena_bytes = job->run.place[0]->store.arena_bytes;
    metric_set(METRIC_RUN_PLANNED, plan->matrix->n_trials - job->n_done);
    run_watch_begin(&job->watch, plan->e->name, plan->matrix->n_trials - job->n_done,
                    job->run.n_places);
    return study_run(&job->run, err);
}

static void set_up(struct run_job *job)
{
    struct study_run *run = &job->run;
    uint32_t n_trials = job->plan.matrix->n_trials;
    const struct watch_flags none = {.quiet = false};

    if (job->watch.to == NULL)
        (void)watch_flags_use(&none, &job->watch, NULL); /* only a descriptor can fail */
    run->e = job->plan.e;
    run->matrix = job->plan.matrix;
    run->source = job->plan.source;
    run->file = job->results;
    run->watch = &job->watch;
    run->done = job->done;
    run->models = job->plan.ceilings;
    run->result = mem_resize(run->result, (size_t)run->n_results + n_trials, sizeof *run->result);
    job->verify.memory_gbps = job->record.memory_gbps;
    job->verify.link_gbps = job->record.link_gbps;
    job->verify.device_link_gbps = job->record.device_link_gbps;
}

enum status run_job_run(struct run_job *job, struct err *err)
{
    struct err late = {{0}};
    enum status st = ST_OK, summed;

    set_up(job);
    if (job->n_done < job->plan.matrix->n_trials)
        st = job->trials != NULL ? run_elsewhere(job, err) : run_trials(job, err);
    job->run.n_results = results_keep_last(job->run.result, job->run.n_results);
    if (job->run.n_results > 0 && !job->is_part) {
        summed = write_summary(job, &late);
        if (st == ST_OK && summed != ST_OK)
            return err_set(err, summed, "summary: %s", late.text);
        write_report(job);
    }
    if (job->trace)
        write_trace(job);
    return st == ST_OK ? verdict(job, err) : st;
}

void run_job_release(struct run_job *job)
{
    study_run_close(&job->run);
    results_close(job->results);
    for (uint32_t i = 0; i < job->run.n_results; i++)
        result_release(&job->run.result[i]);
    free(job->run.result);
    free(job->done);
    run_plan_release(&job->plan);
    run_record_release(&job->record);
    free(job->target_fingerprint);
    free(job->draft_fingerprint);
    free(job->text);
    free(job->directory);
    free(job->folder);
    free(job->log_dir);
    run_lock_give(&job->lock);
    trace_close();
    log_close();
}
