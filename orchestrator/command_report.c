#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/whole_file.h"
#include "orchestrator/command.h"
#include "orchestrator/report_page.h"
#include "orchestrator/report_source.h"

static const char program[] = "mspeckv report";

enum { MAX_RUNS = 8 };

struct command {
    const char *dir[MAX_RUNS], *out;
    uint32_t n_dirs;
    struct report_source source[MAX_RUNS];
};

static enum status parse(struct command *c, int argc, char **argv, struct err *err)
{
    const struct arg_spec spec[] = {
        {.name = "out",
         .kind = ARG_STRING,
         .out = &c->out,
         .value = "FILE",
         .help = "the page of several runs side by side, a new file"},
    };
    const size_t n_spec = sizeof spec / sizeof *spec;
    struct args_rest rest = {.item = c->dir, .max_items = MAX_RUNS};
    enum status st = args_parse(spec, n_spec, argc, argv, &rest, err);

    if (st == ST_CLOSED)
        args_help(stdout, program, "DIR [DIR... --out FILE]", spec, n_spec);
    if (st != ST_OK)
        return st;
    c->n_dirs = (uint32_t)rest.n_items;
    if (c->n_dirs == 0)
        return err_set(err, ST_INVALID, "a run directory is missing, as runs/demo-quick-...");
    if (c->n_dirs > 1 && c->out == NULL)
        return err_set(err, ST_INVALID, "several runs need --out FILE for their page");
    if (c->n_dirs == 1 && c->out != NULL)
        return err_set(err, ST_INVALID,
                       "--out is for several runs; one has its report.html in "
                       "its directory");
    if (c->out != NULL && access(c->out, F_OK) == 0)
        return err_set(err, ST_INVALID, "--out %s: the file exists; a new name would do", c->out);
    return ST_OK;
}

static enum status write_side_by_side(const struct command *c, struct err *err)
{
    struct report_run run[MAX_RUNS];
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    enum status st;

    CHECK(to != NULL);
    for (uint32_t i = 0; i < c->n_dirs; i++)
        run[i] = c->source[i].run;
    report_page_compare(to, run, c->n_dirs);
    CHECK(fclose(to) == 0);
    st = whole_file_write(c->out, text, n, err);
    free(text);
    return st;
}

static enum status report(struct command *c, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < c->n_dirs; i++)
        st = report_source_open(&c->source[i], c->dir[i], err);
    if (st == ST_OK)
        st = c->n_dirs == 1 ? report_source_write(&c->source[0], err) : write_side_by_side(c, err);
    if (st == ST_OK && c->n_dirs == 1)
        printf("%s/report.html, plots/\n", c->dir[0]);
    else if (st == ST_OK)
        printf("%s\n", c->out);
    return st;
}

int command_report(int argc, char **argv)
{
    struct command c = {.n_dirs = 0};
    struct err err = {{0}};
    enum status st = parse(&c, argc, argv, &err);

    if (st == ST_CLOSED)
        return EXIT_DONE;
    if (st != ST_OK)
        return exit_report(program, EXIT_USAGE, st, &err);
    st = report(&c, &err);
    for (uint32_t i = 0; i < c.n_dirs; i++)
        report_source_release(&c.source[i]);
    return exit_report(program, EXIT_RUNTIME, st, &err);
}
