#include <stdio.h>

#include "common/args.h"
#include "common/proc.h"
#include "metrics/metric_server.h"
#include "orchestrator/command.h"
#include "orchestrator/run_begin.h"
#include "orchestrator/run_resume.h"
#include "orchestrator/set_words.h"
#include "orchestrator/slurm_flags.h"
#include "orchestrator/slurm_gather.h"
#include "orchestrator/slurm_queue.h"
#include "orchestrator/slurm_run.h"
#include "orchestrator/watch_flags.h"

static const char program[] = "mspeckv run";

enum { OWN_SPECS = 5 };

struct options {
    const char *file, *out, *resume, *metrics;
    bool trace;
    struct set_words words;
    struct slurm_flags slurm;
    struct watch_flags watch;
};

static enum status check(const struct options *opt, struct err *err)
{
    if (opt->resume == NULL && opt->file == NULL)
        return err_set(err, ST_INVALID,
                       "an experiment file is missing, as experiments/demo/quick.yaml");
    if (opt->resume != NULL && (opt->file != NULL || opt->out != NULL || opt->words.n_sets > 0))
        return err_set(err, ST_INVALID,
                       "--resume DIR stands alone: the run's directory says its experiment and "
                       "settings");
    if (opt->trace && opt->slurm.launcher != 0)
        return err_set(err, ST_INVALID,
                       "--trace is for the processes of this machine: the tasks of --launcher "
                       "slurm have no clock in common");
    if (opt->metrics != NULL && opt->slurm.launcher != 0)
        return err_set(
            err, ST_INVALID,
            "--metrics is of the processes of this machine, and --launcher slurm has the "
            "trials run on others");
    return slurm_flags_check(&opt->slurm, err);
}

static enum status parse(struct options *opt, int argc, char **argv, struct err *err)
{
    const char *set_help = NULL;
    struct arg_spec spec[OWN_SPECS + WATCH_FLAGS + SLURM_FLAGS] = {
        {.name = "set",
         .kind = ARG_STRING,
         .out = &set_help,
         .value = "KEY=VALUE",
         .help = "put over the file's value; may stand several times"},
        {.name = "out",
         .kind = ARG_STRING,
         .out = &opt->out,
         .value = "DIR",
         .help = "directory of the results, new or empty; runs/NAME-TIME if absent"},
        {.name = "resume",
         .kind = ARG_STRING,
         .out = &opt->resume,
         .value = "DIR",
         .help = "go on with a run: what is missing or has failed runs again"},
        {.name = "trace",
         .kind = ARG_FLAG,
         .out = &opt->trace,
         .help = "write trace.json, a timeline of all processes for Perfetto"},
        {.name = "metrics",
         .kind = ARG_STRING,
         .out = &opt->metrics,
         .value = "ADDR",
         .help = "serve Prometheus text at HOST:PORT, workers at the ports behind; 0: any"},
    };
    const size_t n_spec = sizeof spec / sizeof *spec;
    struct args_rest files = {.item = &opt->file, .max_items = 1};
    enum status st = set_words_take(&opt->words, argc, argv, err);

    watch_flags_list(&opt->watch, spec + OWN_SPECS);
    slurm_flags_list(&opt->slurm, spec + OWN_SPECS + WATCH_FLAGS);
    if (st == ST_OK)
        st = args_parse(spec, n_spec, opt->words.n_rest, opt->words.rest, &files, err);
    if (st == ST_CLOSED)
        args_help(stdout, program, "FILE [--set key=value]... [options] | --resume DIR", spec,
                  n_spec);
    return st == ST_OK ? check(opt, err) : st;
}

static enum status resume(struct run_job *job, const char *dir, struct err *err)
{
    size_t dropped_bytes = 0;
    enum status st = run_resume(job, dir, &dropped_bytes, err);

    if (st != ST_OK)
        return st;
    if (dropped_bytes > 0)
        fprintf(stderr, "%s: results.jsonl: its torn last line of %zu bytes is dropped\n", program,
                dropped_bytes);
    if (job->trials == NULL)
        st = slurm_gather_before(job, err);
    printf("resume     %u of %u trials are done\n", job->n_done, job->plan.matrix->n_trials);
    return st;
}

/* Before the run has a directory: Slurm may not be there. */
static enum status use_launcher(struct run_job *job, const struct options *opt, struct err *err)
{
    if (opt->slurm.launcher == 0)
        return ST_OK;
    slurm_run_use(job, NULL);
    return slurm_queue_check(err);
}

/* Before the run has a directory: the address may be wrong or taken. */
static enum status serve_metrics(struct run_job *job, const char *address, struct err *err)
{
    struct metric_address asked = {.port = 0};
    enum status st = ST_OK;

    if (address == NULL)
        return ST_OK;
    st = metric_server_open(address, METRIC_RUN, err);
    if (st == ST_OK)
        st = metric_address_parse(&asked, address, err);
    job->metrics_any_port = asked.port == 0;
    return st;
}

/* What is wrong before anything runs is the fault of the words or the file. */
static enum status run(struct run_job *job, const struct options *opt, bool *is_usage,
                       struct err *err)
{
    const struct run_begin from = {
        .file = opt->file, .set = opt->words.set, .n_sets = opt->words.n_sets, .out = opt->out};
    enum status st = proc_init(false, err);

    job->trace = opt->trace;
    if (st == ST_OK)
        st = watch_flags_use(&opt->watch, &job->watch, err);
    if (st == ST_OK)
        st = use_launcher(job, opt, err);
    if (st == ST_OK)
        st = serve_metrics(job, opt->metrics, err);
    if (st == ST_OK)
        st = opt->resume != NULL ? resume(job, opt->resume, err) : run_begin(job, &from, err);
    if (st == ST_OK && opt->metrics != NULL && job->trials != NULL)
        st =
            err_set(err, ST_INVALID, "--metrics: %s runs by Slurm, on other machines", job->folder);
    if (st == ST_OK && opt->trace && job->trials != NULL)
        st = err_set(err, ST_INVALID,
                     "--trace: %s runs by Slurm, on machines without a common clock", job->folder);
    *is_usage = st == ST_INVALID;
    if (st == ST_OK && job->trials != NULL) {
        st = slurm_flags_put(&opt->slurm, &job->plan.e->slurm, err);
        slurm_run_use(job, &job->plan.e->slurm);
    }
    return st == ST_OK ? run_job_run(job, err) : st;
}

int command_run(int argc, char **argv)
{
    struct run_job job = {.argc = argc, .argv = argv};
    struct options opt = {.file = NULL};
    struct err err = {{0}};
    bool is_usage = true;
    enum status st = parse(&opt, argc, argv, &err);

    if (st == ST_CLOSED) {
        set_words_release(&opt.words);
        return EXIT_DONE;
    }
    if (st == ST_OK)
        st = run(&job, &opt, &is_usage, &err);
    run_watch_end(&job.watch,
                  st == ST_OK          ? "done"
                  : job.run.is_stopped ? "stopped"
                                       : "failed",
                  err.text, job.folder);
    event_stream_close(job.watch.events);
    run_job_release(&job);
    metric_server_close();
    set_words_release(&opt.words);
    return exit_report(program, is_usage ? EXIT_USAGE : EXIT_RUNTIME, st, &err);
}
