#include <stdio.h>

#include "common/args.h"
#include "common/proc.h"
#include "orchestrator/command.h"
#include "orchestrator/slurm_options.h"
#include "orchestrator/slurm_part.h"

static const char program[] = "mspeckv part";

static enum status parse(struct slurm_part *part, int argc, char **argv, struct err *err)
{
    int64_t task = -1;
    const struct arg_spec spec[] = {
        {.name = "task",
         .kind = ARG_INT,
         .out = &task,
         .min = 0,
         .max = SLURM_MAX_TASKS - 1,
         .value = "N",
         .help = "the part to run: the trials of the run's prompt N, from 0"},
    };
    struct args_rest rest = {.item = &part->run, .max_items = 1};
    enum status st = args_parse(spec, 1, argc, argv, &rest, err);

    if (st == ST_CLOSED)
        args_help(stdout, program, "DIR --task N", spec, 1);
    if (st != ST_OK)
        return st;
    if (part->run == NULL)
        return err_set(err, ST_INVALID, "a run directory is missing");
    if (task < 0)
        return err_set(err, ST_INVALID, "--task is missing: which part of the run");
    part->number = (uint32_t)task;
    return ST_OK;
}

int command_part(int argc, char **argv)
{
    struct run_job job = {.argc = argc, .argv = argv};
    struct slurm_part part = {.job = &job};
    struct err err = {{0}};
    enum status st = parse(&part, argc, argv, &err);

    if (st == ST_CLOSED)
        return EXIT_DONE;
    if (st != ST_OK)
        return exit_report(program, EXIT_USAGE, st, &err);
    st = proc_init(false, &err);
    if (st == ST_OK)
        st = slurm_part_open(&part, &err);
    if (st == ST_OK)
        st = run_job_run(&job, &err);
    run_job_release(&job);
    slurm_part_release(&part);
    return exit_report(program, EXIT_RUNTIME, st, &err);
}
