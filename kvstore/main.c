/*
 * mspeckv-kvstore - owns the arena of KV pages and says who may read and write
 * what in it.
 */
#include <stdio.h>

#include "common/args.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/trace.h"
#include "kvstore/server.h"
#include "metrics/metric_server.h"

static const char program[] = "mspeckv-kvstore";

struct options {
    struct server_args server;
    const char *log_path, *trace_path, *metrics;
    int log_level;
};

/* ST_CLOSED: --help was asked for and printed. */
static enum status options_parse(struct options *opt, int argc, char **argv, struct err *err)
{
    int64_t arena_bytes = 0, numa_node = -1;
    int arena = SHM_POSIX;
    bool no_prefault = false, has_bytes = false;
    /* clang-format off */
    const struct arg_spec spec[] = {
        {"run-dir", ARG_STRING, &opt->server.run_dir, NULL, 0, 0, NULL, "DIR",
         "the run's private directory, made by the orchestrator"},
        {"arena-bytes", ARG_INT, &arena_bytes, &has_bytes, 1, 0x1p50, NULL, "N",
         "size of the arena, rounded up to 2 MiB"},
        {"arena", ARG_CHOICE, &arena, NULL, 0, 0, "posix|memfd", "KIND",
         "posix (/dev/shm) or memfd"},
        {"numa-node", ARG_INT, &numa_node, NULL, -1, 1023, NULL, "N",
         "bind the arena to this node; -1: not bound"},
        {"no-prefault", ARG_FLAG, &no_prefault, NULL, 0, 0, NULL, NULL,
         "do not touch the arena at the start"},
        {"control", ARG_FLAG, &opt->server.control, NULL, 0, 0, NULL, NULL,
         "report to the orchestrator's control socket"},
        {"log", ARG_STRING, &opt->log_path, NULL, 0, 0, NULL, "FILE",
         "log file; stderr if absent"},
        {"log-level", ARG_CHOICE, &opt->log_level, NULL, 0, 0, "error|warn|info|debug", "LEVEL",
         "error, warn, info or debug"},
        {"trace", ARG_STRING, &opt->trace_path, NULL, 0, 0, NULL, "FILE",
         "new file for what it does when"},
        {"metrics", ARG_STRING, &opt->metrics, NULL, 0, 0, NULL, "ADDR",
         "serve Prometheus text at HOST:PORT; port 0: any"},
    };
    /* clang-format on */
    const size_t n_specs = sizeof spec / sizeof *spec;
    enum status st = args_parse(spec, n_specs, argc, argv, NULL, err);

    if (st == ST_CLOSED)
        args_help(stdout, program, "--run-dir DIR --arena-bytes N [options]", spec, n_specs);
    if (st == ST_OK && !opt->server.run_dir)
        st = err_set(err, ST_INVALID, "--run-dir is missing");
    if (st == ST_OK && !has_bytes)
        st = err_set(err, ST_INVALID, "--arena-bytes is missing");
    opt->server.arena_bytes = (uint64_t)arena_bytes;
    opt->server.arena = (enum shm_kind)arena;
    opt->server.numa_node = (int)numa_node;
    opt->server.prefault = !no_prefault;
    return st;
}

int main(int argc, char **argv)
{
    struct options opt = {.log_level = LOG_INFO};
    struct server *server = NULL;
    struct err err = {{0}};
    enum status st = options_parse(&opt, argc, argv, &err);

    if (st == ST_CLOSED)
        return EXIT_DONE;
    if (st != ST_OK)
        return exit_report(program, EXIT_USAGE, st, &err);
    st = log_open("kvstore", opt.log_path, (enum log_level)opt.log_level, &err);
    if (st == ST_OK)
        st = proc_init(true, &err);
    if (st == ST_OK)
        st = trace_open("kvstore", opt.trace_path, &err);
    if (st == ST_OK)
        st = metric_server_open(opt.metrics, METRIC_STORE, &err);
    if (st == ST_OK)
        st = server_open(&server, &opt.server, &err);
    if (st == ST_OK)
        st = server_loop(server, &err);
    server_close(server);
    metric_server_close();
    trace_close();
    if (st != ST_OK && opt.log_path)
        log_error(LOG_KV, "end: %s", err.text);
    log_close();
    return exit_report(program, EXIT_RUNTIME, st, &err);
}
