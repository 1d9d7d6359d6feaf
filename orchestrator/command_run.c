#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "orchestrator/command.h"
#include "orchestrator/manifest.h"
#include "orchestrator/run_folder.h"
#include "orchestrator/run_heading.h"
#include "orchestrator/run_plan.h"
#include "orchestrator/set_words.h"
#include "orchestrator/study_run.h"
#include "orchestrator/summary_files.h"
#include "orchestrator/tables.h"

static const char program[] = "mspeckv run";

struct command {
    int argc;
    char **argv;
    const char *file, *out;
    struct set_words words;
    struct run_plan plan;
    char *folder, *log_dir;
    struct results_file *results;
    struct progress progress;
    struct study_run run;
    struct msg_ready verify; /* as it was at the start */
};

/* ---- the command line ---- */

static enum status parse(struct command *c, struct err *err)
{
    const char *set_help = NULL;
    const struct arg_spec spec[] = {
        {.name = "set",
         .kind = ARG_STRING,
         .out = &set_help,
         .value = "KEY=VALUE",
         .help = "put over the file's value; may stand several times"},
        {.name = "out",
         .kind = ARG_STRING,
         .out = &c->out,
         .value = "DIR",
         .help = "directory of the results, new or empty; runs/NAME-TIME if absent"},
    };
    const size_t n_spec = sizeof spec / sizeof *spec;
    struct args_rest files = {.item = &c->file, .max_items = 1};
    enum status st = set_words_take(&c->words, c->argc, c->argv, err);

    if (st == ST_OK)
        st = args_parse(spec, n_spec, c->words.n_rest, c->words.rest, &files, err);
    if (st == ST_CLOSED)
        args_help(stdout, program, "FILE [--set key=value]... [--out DIR]", spec, n_spec);
    if (st == ST_OK && c->file == NULL)
        st = err_set(err, ST_INVALID,
                     "an experiment file is missing, as experiments/demo/quick.yaml");
    return st;
}

/* ---- before anything runs ---- */

static enum status prepare(struct command *c, struct err *err)
{
    struct run_plan *plan = &c->plan;
    struct memory_room room;
    enum status st = experiment_read(&plan->e, c->file, c->words.set, c->words.n_sets, err);

    if (st == ST_OK)
        st = run_plan_fill(plan, err);
    memory_room_ask(&room);
    return st == ST_OK ? memory_plan_check(&plan->memory, &plan->shape, &plan->need, &room, err)
                       : st;
}

/* ---- the run ---- */

static enum status open_folder(struct command *c, struct err *err)
{
    char *path;
    enum status st;

    st = c->out != NULL ? run_folder_take(&c->folder, c->out, err)
                        : run_folder_make(&c->folder, c->plan.e->out, c->plan.e->name, err);
    if (st != ST_OK)
        return err_in(err, st, "run directory");
    c->log_dir = mem_printf("%s/logs", c->folder);
    path = mem_printf("%s/mspeckv.log", c->log_dir);
    st = log_open("mspeckv", path, LOG_INFO, err);
    free(path);
    path = mem_printf("%s/results.jsonl", c->folder);
    if (st == ST_OK)
        st = results_open(&c->results, path, c->plan.e, err);
    free(path);
    return st;
}

static enum status open_session(struct command *c, struct err *err)
{
    const struct experiment *e = c->plan.e;
    const struct group_options group = {.target = e->target,
                                        .draft = c->plan.speculates ? e->draft : NULL,
                                        .verify_device = e->verify_device,
                                        .draft_device = e->draft_device,
                                        .threads = e->threads,
                                        .link = e->link,
                                        .link_value = e->link_value,
                                        .sinks = e->sinks,
                                        .window = e->window,
                                        .retrieval_tokens = c->plan.memory.retrieval_tokens,
                                        .f32_base = c->plan.memory.f32_base,
                                        .arena = e->arena,
                                        .numa_node = e->numa_node,
                                        .arena_bytes = c->plan.need.arena_bytes,
                                        .log_dir = c->log_dir};
    struct session_watch watch;
    enum status st;

    progress_init(&c->progress, stderr, isatty(STDERR_FILENO), c->plan.matrix->n_trials);
    c->run = (struct study_run){.e = e,
                                .matrix = c->plan.matrix,
                                .source = c->plan.source,
                                .file = c->results,
                                .progress = &c->progress};
    c->run.result = mem_array(c->plan.matrix->n_trials, sizeof *c->run.result);
    watch = study_run_watch(&c->run);
    st = session_open(&c->run.session, &group, &watch, err);
    if (st == ST_OK)
        c->verify = *group_ready(session_group(c->run.session), GROUP_VERIFY);
    return st;
}

/* What the store was granted. */
static enum status ask_store(struct command *c, struct msg_welcome *out, struct err *err)
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
    st = group_ask(session_group(c->run.session), &call, &answer, err);
    if (st == ST_OK)
        *out = answer.welcome;
    return st;
}

static enum status write_manifest(struct command *c, struct err *err)
{
    char *target = NULL, *draft = NULL, *path = mem_printf("%s/manifest.json", c->folder);
    struct msg_welcome store = {0};
    struct machine machine;
    struct manifest m = {.e = c->plan.e,
                         .machine = &machine,
                         .matrix = c->plan.matrix,
                         .source = c->plan.source,
                         .version = command_version,
                         .commit = command_commit[0] != '\0' ? command_commit : NULL,
                         .argc = c->argc,
                         .argv = c->argv,
                         .n_layers = c->plan.shape.n_layers,
                         .random_target = c->plan.random_target,
                         .random_draft = c->plan.random_draft,
                         .arena_kind = c->plan.e->arena,
                         .memory_gbps = c->verify.memory_gbps,
                         .link_gbps = c->verify.link_gbps,
                         .link_simulated = c->verify.link_gbps > 0};
    enum status st = ask_store(c, &store, err);

    machine_read(&machine, "");
    m.arena_bytes = store.arena_bytes;
    m.huge_page_bytes = store.huge_page_bytes;
    m.numa_node = store.numa_node == UINT32_MAX ? -1 : (int)store.numa_node;
    m.numa_local_share = store.numa_local_share;
    if (st == ST_OK)
        st = target_shape_fingerprint(&target, c->plan.e->target, err);
    if (st == ST_OK && c->plan.speculates)
        st = target_shape_fingerprint(&draft, c->plan.e->draft, err);
    m.target_fingerprint = target;
    m.draft_fingerprint = draft;
    if (st == ST_OK)
        st = manifest_write(&m, path, err);
    free(target);
    free(draft);
    free(path);
    return st;
}

/* Also of what a stop or a failure has left. */
static enum status write_summary(struct command *c, struct err *err)
{
    struct summary *summary = NULL;
    enum status st;

    summary_open(&summary, c->plan.e, c->run.result, c->run.n_results, c->verify.link_gbps);
    summary->random_weights = c->plan.random_target || c->plan.random_draft;
    summary->n_skipped = prompt_source_skipped(c->plan.source);
    tables_print(stdout, summary);
    st = summary_files_write(summary, c->folder, err);
    summary_close(summary);
    printf("\n%s: manifest.json, results.jsonl, summary.{json,csv,md}, logs/\n", c->folder);
    return st;
}

static enum status verdict(const struct command *c, struct err *err)
{
    if (c->run.is_stopped)
        return err_set(err, ST_CLOSED, "stopped after %u of %u trials", c->run.n_results,
                       c->plan.matrix->n_trials);
    if (c->run.n_failed > 0)
        return err_set(err, ST_IO, "%u of %u trials failed; %s/results.jsonl says why",
                       c->run.n_failed, c->plan.matrix->n_trials, c->folder);
    return ST_OK;
}

static enum status run(struct command *c, struct err *err)
{
    const struct run_heading heading = {.e = c->plan.e,
                                        .source = c->plan.source,
                                        .matrix = c->plan.matrix,
                                        .folder = c->folder,
                                        .verify = &c->verify,
                                        .arena_bytes = c->plan.need.arena_bytes,
                                        .random_target = c->plan.random_target,
                                        .random_draft = c->plan.random_draft};
    struct err late = {{0}};
    enum status st = open_session(c, err), summed;

    if (st == ST_OK)
        st = write_manifest(c, err);
    if (st != ST_OK)
        return st;
    run_heading_print(stdout, &heading);
    st = study_run(&c->run, err);
    if (c->run.n_results > 0) {
        summed = write_summary(c, &late);
        if (st == ST_OK && summed != ST_OK)
            return err_set(err, summed, "summary: %s", late.text);
    }
    return st == ST_OK ? verdict(c, err) : st;
}

static void release(struct command *c)
{
    session_close(c->run.session);
    results_close(c->results);
    for (uint32_t i = 0; i < c->run.n_results; i++)
        result_release(&c->run.result[i]);
    free(c->run.result);
    run_plan_release(&c->plan);
    free(c->folder);
    free(c->log_dir);
    set_words_release(&c->words);
    log_close();
}

/* What is wrong before anything runs is the fault of the words or the file. */
static enum status prepare_and_run(struct command *c, bool *is_usage, struct err *err)
{
    enum status st = proc_init(false, err);

    if (st == ST_OK)
        st = prepare(c, err);
    if (st == ST_OK)
        st = open_folder(c, err);
    *is_usage = st == ST_INVALID;
    return st == ST_OK ? run(c, err) : st;
}

int command_run(int argc, char **argv)
{
    struct command c = {.argc = argc, .argv = argv};
    struct err err = {{0}};
    bool is_usage = true;
    enum status st = parse(&c, &err);

    if (st == ST_CLOSED) {
        set_words_release(&c.words);
        return EXIT_DONE;
    }
    if (st == ST_OK)
        st = prepare_and_run(&c, &is_usage, &err);
    release(&c);
    return exit_report(program, is_usage ? EXIT_USAGE : EXIT_RUNTIME, st, &err);
}
