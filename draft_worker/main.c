/* mspeckv-draft: the small draft model and the middle level. */
#include <stdio.h>

#include "common/args.h"
#include "common/log.h"
#include "common/map_guard.h"
#include "common/proc.h"
#include "common/trace.h"
#include "draft_worker/worker.h"
#include "metrics/metric_server.h"

struct options {
    struct worker_options worker;
    const char *log_path, *trace_path, *metrics;
    int log_level;
};

static enum status options_parse(struct options *o, int argc, char **argv, struct err *err)
{
    const struct arg_spec specs[] = {
        {.name = "run-dir",
         .kind = ARG_STRING,
         .out = &o->worker.run_dir,
         .value = "DIR",
         .help = "private directory of the run's sockets (required)"},
        {.name = "draft",
         .kind = ARG_STRING,
         .out = &o->worker.draft,
         .value = "DIR",
         .help = "checkpoint of the small model (required)"},
        {.name = "target",
         .kind = ARG_STRING,
         .out = &o->worker.target,
         .value = "DIR",
         .help = "checkpoint of the target, for the middle level"},
        {.name = "device",
         .kind = ARG_STRING,
         .out = &o->worker.device,
         .value = "NAME",
         .help = "device, as cpu:0 or cuda:0"},
        {.name = "verify-device",
         .kind = ARG_STRING,
         .out = &o->worker.verify_device,
         .value = "NAME",
         .help = "device of verify; on the same GPU its weights are opened"},
        {.name = "threads",
         .kind = ARG_INT,
         .out = &o->worker.n_threads,
         .min = 0,
         .max = 1024,
         .value = "N",
         .help = "compute threads; 0: every CPU of this process"},
        {.name = "sinks",
         .kind = ARG_INT,
         .out = &o->worker.n_sinks,
         .min = 0,
         .max = 4096,
         .value = "N",
         .help = "first tokens that the draft always sees"},
        {.name = "window",
         .kind = ARG_INT,
         .out = &o->worker.n_window,
         .min = 1,
         .max = 1 << 20,
         .value = "N",
         .help = "newest tokens that the draft sees"},
        {.name = "log",
         .kind = ARG_STRING,
         .out = &o->log_path,
         .value = "FILE",
         .help = "log file; default: stderr"},
        {.name = "log-level",
         .kind = ARG_CHOICE,
         .out = &o->log_level,
         .choices = "error|warn|info|debug",
         .help = "what is logged"},
        {.name = "trace",
         .kind = ARG_STRING,
         .out = &o->trace_path,
         .value = "FILE",
         .help = "new file for what it does when"},
        {.name = "metrics",
         .kind = ARG_STRING,
         .out = &o->metrics,
         .value = "ADDR",
         .help = "serve Prometheus text at HOST:PORT; port 0: any"},
    };
    const size_t n = sizeof specs / sizeof *specs;
    enum status st;

    *o = (struct options){.worker = {.device = "cpu:0", .n_sinks = 16, .n_window = 232},
                          .log_level = LOG_INFO};
    st = args_parse(specs, n, argc, argv, NULL, err);
    if (st == ST_CLOSED)
        args_help(stdout, "mspeckv-draft", "--run-dir DIR --draft DIR [options]", specs, n);
    else if (st == ST_OK && (o->worker.run_dir == NULL || o->worker.draft == NULL))
        st = err_set(err, ST_INVALID, "--run-dir and --draft are required");
    return st;
}

int main(int argc, char **argv)
{
    struct err err = {{0}};
    struct options opt;
    struct worker *worker = NULL;
    enum status st;

    st = options_parse(&opt, argc, argv, &err);
    if (st == ST_CLOSED)
        return EXIT_DONE;
    if (st != ST_OK)
        return exit_report("mspeckv-draft", EXIT_USAGE, st, &err);
    st = log_open("draft", opt.log_path, (enum log_level)opt.log_level, &err);
    if (st == ST_OK)
        st = proc_init(true, &err);
    if (st == ST_OK)
        st = map_guard_init("mspeckv-draft", &err);
    if (st == ST_OK)
        st = trace_open("draft", opt.trace_path, &err);
    if (st == ST_OK)
        st = metric_server_open(opt.metrics, METRIC_DRAFT, &err);
    if (st == ST_OK)
        st = worker_open(&worker, &opt.worker, &err);
    if (st == ST_OK)
        st = worker_loop(worker, &err);
    worker_close(worker);
    metric_server_close();
    trace_close();
    return exit_report("mspeckv-draft", EXIT_RUNTIME, st, &err);
}
