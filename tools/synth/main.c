/*
 * mspeckv-synth - checkpoints of published shapes with random weights.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/proc.h"
#include "tools/synth/options.h"

static const char program[] = "mspeckv synth";

static enum status print_report(const struct options *opt, const struct synth_report *r,
                                struct err *err)
{
    printf("%s: %s with random weights, seed %llu\n", opt->args.out, opt->arch.name,
           (unsigned long long)opt->args.seed);
    printf("weights: %.2f million, %s, %zu tensors, %.3g GB in %zu file%s\n",
           (double)r->n_elements * 1e-6, weight_dtype_name(opt->args.dtype), r->n_tensors,
           (double)r->data_bytes * 1e-9, r->n_shards, r->n_shards == 1 ? "" : "s");
    printf("tokenizer: %s, ids below %u of the vocabulary's %u\n",
           opt->args.tokenizer != NULL ? opt->args.tokenizer : "the MSpecKV demo model's", r->n_ids,
           opt->arch.n_vocab);
    printf("written: in %.1f s, synced, %.0f MB/s\n", r->seconds,
           (double)r->data_bytes * 1e-6 / r->seconds);
    if (fflush(stdout) != 0)
        return err_set(err, ST_IO, "write stdout: %s", strerror(errno));
    return ST_OK;
}

int main(int argc, char **argv)
{
    struct options opt;
    struct synth_report report;
    struct err err = {{0}};
    enum status st = options_parse(&opt, argc, argv, &err);

    if (st == ST_CLOSED)
        return EXIT_DONE;
    if (st != ST_OK)
        return exit_report(program, EXIT_USAGE, st, &err);
    st = proc_init(false, &err);
    if (st == ST_OK)
        st = synth_run(&opt.args, &report, &err);
    if (st == ST_OK)
        st = print_report(&opt, &report, &err);
    return exit_report(program, st == ST_INVALID ? EXIT_USAGE : EXIT_RUNTIME, st, &err);
}
