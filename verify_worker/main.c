/* mspeckv-verify: the target model, its KV, and the verdicts. */
#include <stdio.h>

#include "common/args.h"
#include "common/log.h"
#include "common/map_guard.h"
#include "common/proc.h"
#include "common/trace.h"
#include "metrics/metric_server.h"
#include "verify_worker/worker.h"

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
        {.name = "target",
         .kind = ARG_STRING,
         .out = &o->worker.target,
         .value = "DIR",
         .help = "checkpoint of the target model (required)"},
        {.name = "device",
         .kind = ARG_STRING,
         .out = &o->worker.device,
         .value = "NAME",
         .help = "device, as cpu:0 or cuda:0"},
        {.name = "threads",
         .kind = ARG_INT,
         .out = &o->worker.n_threads,
         .min = 0,
         .max = 1024,
         .value = "N",
         .help = "compute threads; 0: every CPU of this process"},
        {.name = "link-gbps",
         .kind = ARG_REAL,
         .out = &o->worker.link_gbps,
         .min = 0,
         .max = 1e6,
         .value = "X",
         .help = "simulated link in GB/s; 0: none"},
        {.name = "link-ratio",
         .kind = ARG_REAL,
         .out = &o->worker.link_ratio,
         .min = 0,
         .max = 1e6,
         .value = "R",
         .help = "simulated link of memory bandwidth / R; 0: none"},
        {.name = "retrieval-tokens",
         .kind = ARG_INT,
         .out = &o->worker.retrieval_tokens,
         .min = 0,
         .max = 1 << 24,
         .value = "N",
         .help = "room for the retrieval KV, in tokens"},
        {.name = "kv-base",
         .kind = ARG_CHOICE,
         .out = &o->worker.kv_base,
         .choices = "f16|f32",
         .help = "unquantized form of tail, on-chip layers and snapshots"},
        {.name = "logits",
         .kind = ARG_STRING,
         .out = &o->worker.logits_path,
         .value = "FILE",
         .help = "write the f32 logits of every emitted token"},
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

    *o = (struct options){.worker = {.device = "cpu:0"}, .log_level = LOG_INFO};
    st = args_parse(specs, n, argc, argv, NULL, err);
    if (st == ST_CLOSED)
        args_help(stdout, "mspeckv-verify", "--run-dir DIR --target DIR [options]", specs, n);
    else if (st == ST_OK && (o->worker.run_dir == NULL || o->worker.target == NULL))
        st = err_set(err, ST_INVALID, "--run-dir and --target are required");
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
        return exit_report("mspeckv-verify", EXIT_USAGE, st, &err);
    st = log_open("verify", opt.log_path, (enum log_level)opt.log_level, &err);
    if (st == ST_OK)
        st = proc_init(true, &err);
    if (st == ST_OK)
        st = map_guard_init("mspeckv-verify", &err);
    if (st == ST_OK)
        st = trace_open("verify", opt.trace_path, &err);
    if (st == ST_OK)
        st = metric_server_open(opt.metrics, METRIC_VERIFY, &err);
    if (st == ST_OK)
        st = worker_open(&worker, &opt.worker, &err);
    if (st == ST_OK)
        st = worker_loop(worker, &err);
    worker_close(worker);
    metric_server_close();
    trace_close();
    return exit_report("mspeckv-verify", EXIT_RUNTIME, st, &err);
}
