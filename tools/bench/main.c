/*
 * mspeckv-bench - measures single parts of the system on this machine.
 */
#include <stdio.h>
#include <string.h>

#include "common/args.h"
#include "kernels/kv_format.h"
#include "tools/bench/attention_bench.h"

static const char USAGE[] = "attention [options]";

static enum status options_parse(struct attention_bench *bench, int argc, char **argv,
                                 struct err *err)
{
    const char *what[1];
    struct args_rest rest = {what, 1, 0};
    const struct arg_spec spec[] = {
        {"tokens", ARG_INT, &bench->n_tokens, NULL, 1, 1 << 20, NULL, "N",
         "visible tokens of the newest row"},
        {"heads", ARG_INT, &bench->n_heads, NULL, 1, 256, NULL, "N", "KV heads"},
        {"head-dim", ARG_INT, &bench->head_dim, NULL, 8, KV_MAX_HEAD_DIM, NULL, "D",
         "a multiple of 8"},
        {"threads", ARG_INT, &bench->n_threads, NULL, 1, 256, NULL, "N", "compute threads"},
        {"rows", ARG_INT, &bench->n_rows, NULL, 1, 512, NULL, "N",
         "rows of each format's second line; 1: no second line"},
        {"repeats", ARG_INT, &bench->n_repeats, NULL, 1, 1000, NULL, "N", "turns per line"},
        {"prefill", ARG_FLAG, &bench->prefill, NULL, 0, 0, NULL, NULL,
         "also chunks of 512 rows over f16 pages"},
    };
    const size_t n_specs = sizeof spec / sizeof *spec;
    enum status st = args_parse(spec, n_specs, argc, argv, &rest, err);

    if (st == ST_CLOSED)
        args_help(stdout, "mspeckv-bench", USAGE, spec, n_specs);
    if (st != ST_OK)
        return st;
    if (rest.n_items != 1 || strcmp(what[0], "attention") != 0)
        return err_set(err, ST_INVALID, "say what to measure: mspeckv-bench %s", USAGE);
    if (bench->head_dim % 8 != 0)
        return err_set(err, ST_INVALID, "--head-dim %d is not a multiple of 8",
                       (int)bench->head_dim);
    if (bench->n_rows > bench->n_tokens)
        return err_set(err, ST_INVALID, "--rows %d is more than --tokens %d", (int)bench->n_rows,
                       (int)bench->n_tokens);
    return ST_OK;
}

int main(int argc, char **argv)
{
    struct attention_bench bench = {.n_tokens = 32768,
                                    .n_heads = 16,
                                    .head_dim = 128,
                                    .n_threads = 2,
                                    .n_rows = 9,
                                    .n_repeats = 15};
    struct err err = {{0}};
    enum status st = options_parse(&bench, argc, argv, &err);

    if (st == ST_CLOSED)
        return 0;
    if (st != ST_OK) {
        fprintf(stderr, "mspeckv-bench: %s\n", err.text);
        return 2;
    }
    st = attention_bench_run(&bench, &err);
    if (st != ST_OK)
        fprintf(stderr, "mspeckv-bench: %s\n", err.text);
    return st == ST_OK ? 0 : 1;
}
