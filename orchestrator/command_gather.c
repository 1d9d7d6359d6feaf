#include <stdio.h>

#include "common/args.h"
#include "common/proc.h"
#include "orchestrator/command.h"
#include "orchestrator/run_resume.h"
#include "orchestrator/slurm_folder.h"
#include "orchestrator/slurm_run.h"

static const char program[] = "mspeckv gather";

static enum status parse(const char **dir, int argc, char **argv, struct err *err)
{
    struct args_rest rest = {.item = dir, .max_items = 1};
    enum status st = args_parse(NULL, 0, argc, argv, &rest, err);

    if (st == ST_CLOSED)
        args_help(stdout, program, "DIR", NULL, 0);
    if (st == ST_OK && *dir == NULL)
        return err_set(err, ST_INVALID, "a run directory is missing");
    return st;
}

static enum status gather(struct run_job *job, const char *dir, struct err *err)
{
    size_t dropped_bytes = 0;
    enum status st;

    slurm_run_use_gathered(job);
    st = run_resume(job, dir, &dropped_bytes, err);
    if (st == ST_OK && !slurm_folder_exists(job->folder))
        return err_set(err, ST_NOT_FOUND,
                       "%s has no parts: it was not run by `--launcher slurm`; its results are "
                       "where they belong",
                       dir);
    return st == ST_OK ? run_job_run(job, err) : st;
}

int command_gather(int argc, char **argv)
{
    struct run_job job = {.argc = argc, .argv = argv};
    struct err err = {{0}};
    const char *dir = NULL;
    enum status st = parse(&dir, argc, argv, &err);

    if (st == ST_CLOSED)
        return EXIT_DONE;
    if (st != ST_OK)
        return exit_report(program, EXIT_USAGE, st, &err);
    st = proc_init(false, &err);
    if (st == ST_OK)
        st = gather(&job, dir, &err);
    run_job_release(&job);
    return exit_report(program, EXIT_RUNTIME, st, &err);
}
