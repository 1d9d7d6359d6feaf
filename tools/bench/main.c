/*
 * mspeckv-bench - measures single parts of the system on this machine.
 */
#include <stdio.h>
#include <string.h>

#include "common/args.h"
#include "kernels/kv_format.h"
#include "tools/bench/attention_bench.h"
#include "tools/bench/attention_device.h"
#include "tools/bench/ceilings_bench.h"
#include "tools/bench/matmul_bench.h"
#include "tools/bench/memory_bench.h"
#include "tools/bench/probe_bench.h"

static const char USAGE[] = "attention|ceilings|matmul|memory|probe [options]";

struct attention_options {
    struct attention_bench cpu;
    struct attention_device other;
};

static enum status attention_options(struct attention_options *o, int argc, char **argv,
                                     struct err *err)
{
    struct attention_bench *bench = &o->cpu;
    const struct arg_spec spec[] = {
        {"device", ARG_STRING, &o->other.device, NULL, 0, 0, NULL, "D", "cpu:0, or cuda:N"},
        {"tokens", ARG_INT, &bench->n_tokens, NULL, 1, 1 << 20, NULL, "N",
         "visible tokens of the newest row"},
        {"heads", ARG_INT, &bench->n_heads, NULL, 1, 256, NULL, "N", "KV heads"},
        {"group", ARG_INT, &o->other.n_heads, NULL, 1, 64, NULL, "N",
         "query heads of a KV head; cuda"},
        {"head-dim", ARG_INT, &bench->head_dim, NULL, 8, KV_MAX_HEAD_DIM, NULL, "D",
         "a multiple of 8"},
        {"threads", ARG_INT, &bench->n_threads, NULL, 1, 256, NULL, "N", "compute threads; cpu"},
        {"rows", ARG_INT, &bench->n_rows, NULL, 1, 512, NULL, "N",
         "rows of each format's second line; 1: no second line; cuda: of every line, at most 33"},
        {"repeats", ARG_INT, &bench->n_repeats, NULL, 1, 1000, NULL, "N", "turns per line; cpu"},
        {"prefill", ARG_FLAG, &bench->prefill, NULL, 0, 0, NULL, NULL,
         "also chunks of 512 rows over f16 pages; cpu"},
    };
    const size_t n_specs = sizeof spec / sizeof *spec;
    enum status st = args_parse(spec, n_specs, argc, argv, NULL, err);

    if (st == ST_CLOSED)
        args_help(stdout, "mspeckv bench", "attention [options]", spec, n_specs);
    if (st != ST_OK)
        return st;
    if (bench->head_dim % 8 != 0)
        return err_set(err, ST_INVALID, "--head-dim %d is not a multiple of 8",
                       (int)bench->head_dim);
    if (bench->n_tokens > 0 && bench->n_rows > bench->n_tokens)
        return err_set(err, ST_INVALID, "--rows %d is more than --tokens %d", (int)bench->n_rows,
                       (int)bench->n_tokens);
    return ST_OK;
}

/* Each runs if its options are right; *is_usage: they are not. */
static enum status run_attention(int argc, char **argv, bool *is_usage, struct err *err)
{
    struct attention_options o = {.cpu = {.head_dim = 128, .n_threads = 2, .n_repeats = 15},
                                  .other = {.device = "cpu:0", .n_heads = 1}};
    enum status st = attention_options(&o, argc, argv, err);
    bool is_cpu = strncmp(o.other.device, "cpu", 3) == 0;

    *is_usage = st != ST_OK;
    if (st != ST_OK)
        return st;
    if (is_cpu) {
        o.cpu.n_tokens = o.cpu.n_tokens > 0 ? o.cpu.n_tokens : 32768;
        o.cpu.n_heads = o.cpu.n_heads > 0 ? o.cpu.n_heads : 16;
        o.cpu.n_rows = o.cpu.n_rows > 0 ? o.cpu.n_rows : 9;
        return attention_bench_run(&o.cpu, err);
    }
    *is_usage = o.cpu.n_rows > 33;
    if (*is_usage)
        return err_set(err, ST_INVALID, "--rows %d: at most 33 on %s", (int)o.cpu.n_rows,
                       o.other.device);
    o.other.n_tokens = o.cpu.n_tokens;
    o.other.n_kv_heads = o.cpu.n_heads > 0 ? o.cpu.n_heads : 32;
    o.other.n_heads *= o.other.n_kv_heads;
    o.other.head_dim = o.cpu.head_dim;
    o.other.n_rows = o.cpu.n_rows;
    return attention_device_run(&o.other, err);
}

static enum status run_memory(int argc, char **argv, bool *is_usage, struct err *err)
{
    const char *device = "cpu:0";
    int64_t n_threads = 0;
    const struct arg_spec spec[] = {
        {"device", ARG_STRING, &device, NULL, 0, 0, NULL, "D", "whose memory"},
        {"threads", ARG_INT, &n_threads, NULL, 0, 1024, NULL, "N", "0: all"},
    };
    const size_t n_specs = sizeof spec / sizeof *spec;
    enum status st = args_parse(spec, n_specs, argc, argv, NULL, err);

    if (st == ST_CLOSED)
        args_help(stdout, "mspeckv bench", "memory [options]", spec, n_specs);
    *is_usage = st != ST_OK;
    return st == ST_OK ? memory_bench_run(device, (int)n_threads, err) : st;
}

static enum status run_matmul(int argc, char **argv, bool *is_usage, struct err *err)
{
    struct matmul_bench bench = {.device = "cpu:0", .min_ms = 20};
    const struct arg_spec spec[] = {
        {"device", ARG_STRING, &bench.device, NULL, 0, 0, NULL, "D", "which multiplies"},
        {"in", ARG_INT, &bench.n_in, NULL, 1, 1 << 17, NULL, "N", "inputs; default: many shapes"},
        {"out", ARG_INT, &bench.n_out, NULL, 1, 1 << 18, NULL, "N", "outputs, with --in"},
        {"rows", ARG_INT, &bench.n_rows, NULL, 1, 512, NULL, "N", "default: many"},
        {"min-ms", ARG_INT, &bench.min_ms, NULL, 1, 10000, NULL, "MS", "of products per line"},
    };
    const size_t n_specs = sizeof spec / sizeof *spec;
    enum status st = args_parse(spec, n_specs, argc, argv, NULL, err);

    if (st == ST_CLOSED)
        args_help(stdout, "mspeckv bench", "matmul [options]", spec, n_specs);
    if (st == ST_OK && (bench.n_in > 0) != (bench.n_out > 0))
        st = err_set(err, ST_INVALID, "--in and --out belong together");
    *is_usage = st != ST_OK;
    return st == ST_OK ? matmul_bench_run(&bench, err) : st;
}

static enum status run_ceilings(int argc, char **argv, bool *is_usage, struct err *err)
{
    const char *device = "cpu:0";
    const struct arg_spec spec[] = {
        {"device", ARG_STRING, &device, NULL, 0, 0, NULL, "D", "whose ceilings"},
    };
    enum status st = args_parse(spec, 1, argc, argv, NULL, err);

    if (st == ST_CLOSED)
        args_help(stdout, "mspeckv bench", "ceilings [options]", spec, 1);
    *is_usage = st != ST_OK;
    return st == ST_OK ? ceilings_bench_run(device, err) : st;
}

static enum status run_probe(int argc, char **argv, bool *is_usage, struct err *err)
{
    const char *device = "cpu:0", *import = NULL;
    const struct arg_spec spec[] = {
        {"device", ARG_STRING, &device, NULL, 0, 0, NULL, "D", "what is tried"},
        {"import", ARG_STRING, &import, NULL, 0, 0, NULL, "HEX",
         "only open a block that another process shares"},
    };
    const size_t n_specs = sizeof spec / sizeof *spec;
    enum status st = args_parse(spec, n_specs, argc, argv, NULL, err);

    if (st == ST_CLOSED)
        args_help(stdout, "mspeckv bench", "probe [options]", spec, n_specs);
    *is_usage = st != ST_OK;
    if (st != ST_OK)
        return st;
    return import != NULL ? probe_bench_import(device, import, err) : probe_bench_run(device, err);
}

static const struct {
    const char *name;
    enum status (*run)(int argc, char **argv, bool *is_usage, struct err *err);
} command[] = {
    {"attention", run_attention}, {"ceilings", run_ceilings}, {"matmul", run_matmul},
    {"memory", run_memory},       {"probe", run_probe},
};

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    struct err err = {{0}};
    bool is_usage = true;
    enum status st = err_set(&err, ST_INVALID, "say what to measure: mspeckv bench %s", USAGE);

    for (size_t i = 0; i < sizeof command / sizeof *command; i++)
        if (strcmp(what, command[i].name) == 0)
            st = command[i].run(argc - 1, argv + 1, &is_usage, &err);
    if (strcmp(what, "--help") == 0) {
        args_help(stdout, "mspeckv bench", USAGE, NULL, 0);
        st = ST_CLOSED;
    }
    if (st == ST_OK || st == ST_CLOSED)
        return 0;
    fprintf(stderr, "mspeckv-bench: %s\n", err.text);
    return is_usage ? 2 : 1;
}
