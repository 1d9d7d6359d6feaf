/*
 * mspeckv-eval - what a KV format costs: teacher-forced over the same tokens,
 * with f16 KV and with the formats asked for.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/map_guard.h"
#include "common/proc.h"
#include "tools/eval/eval_report.h"

static const char PROGRAM[] = "mspeckv eval";
static const char USAGE[] = "--target DIR --text FILE --kv-format LIST [options]";

static enum status parse_formats(struct eval_options *opt, const char *list, struct err *err)
{
    bool seen[KV_FORMAT_COUNT] = {false};
    const char *at = list;

    for (;;) {
        size_t n = strcspn(at, ",");
        char name[48];
        enum kv_format format;
        snprintf(name, sizeof name, "%.*s", (int)(n < 40 ? n : 40), at);
        enum status st = kv_format_parse(name, &format, err);
        if (st != ST_OK)
            return err_in(err, ST_INVALID, "--kv-format");
        if (seen[format])
            return err_set(err, ST_INVALID, "--kv-format: %s stands twice", name);
        seen[format] = true;
        opt->format[opt->n_formats++] = format;
        if (at[n] == '\0')
            return ST_OK;
        at += n + 1;
    }
}

static enum status check_options(struct eval_options *opt, const char *formats, struct err *err)
{
    if (opt->target == NULL)
        return err_set(err, ST_INVALID, "--target is missing: a checkpoint's directory");
    if (opt->text == NULL)
        return err_set(err, ST_INVALID, "--text is missing: a text file, or demo");
    if (formats == NULL)
        return err_set(err, ST_INVALID,
                       "--kv-format is missing: f32, f16, int8, int4, or several with commas");
    return parse_formats(opt, formats, err);
}

static enum status options_parse(struct eval_options *opt, int argc, char **argv, struct err *err)
{
    const char *formats = NULL;
    const struct arg_spec spec[] = {
        {"target", ARG_STRING, &opt->target, NULL, 0, 0, NULL, "DIR", "checkpoint (required)"},
        {"text", ARG_STRING, &opt->text, NULL, 0, 0, NULL, "FILE",
         "UTF-8 text, or demo (required)"},
        {"seed", ARG_INT, &opt->demo_seed, NULL, 0, 0x1p63, NULL, "S",
         "of the first demo text; each window has its own"},
        {"kv-format", ARG_STRING, &formats, NULL, 0, 0, NULL, "LIST",
         "what is compared with f16: f32, f16, int8, int4, or several with commas (required)"},
        {"prefill", ARG_INT, &opt->n_prefill, NULL, 1, 1 << 24, NULL, "N",
         "tokens of a window that are computed exactly and not scored"},
        {"tokens", ARG_INT, &opt->n_scored, NULL, 0, 1 << 24, NULL, "M",
         "tokens of a window that are scored; 0: all that the file gives"},
        {"windows", ARG_INT, &opt->n_windows, NULL, 1, 4096, NULL, "W",
         "stretches of the text, spread evenly over it"},
        {"k-rotation", ARG_CHOICE, &opt->turn, NULL, 0, 0, eval_report_turns, NULL,
         "what K and Q of the formats go through after RoPE"},
        {"json", ARG_STRING, &opt->json, NULL, 0, 0, NULL, "FILE", "the figures as JSON too"},
        {"device", ARG_STRING, &opt->device, NULL, 0, 0, NULL, "NAME", "where it computes"},
        {"threads", ARG_INT, &opt->n_threads, NULL, 0, 256, NULL, "N",
         "compute threads; 0: one for each CPU"},
    };
    const size_t n_specs = sizeof spec / sizeof *spec;
    enum status st = args_parse(spec, n_specs, argc, argv, NULL, err);

    if (st == ST_CLOSED)
        args_help(stdout, PROGRAM, USAGE, spec, n_specs);
    return st == ST_OK ? check_options(opt, formats, err) : st;
}

int main(int argc, char **argv)
{
    struct eval_options opt = {
        .device = "cpu:0", .n_prefill = 1024, .n_windows = 1, .demo_seed = 1};
    struct eval_result result;
    struct err err = {{0}};
    enum status st = options_parse(&opt, argc, argv, &err);

    if (st == ST_CLOSED)
        return EXIT_DONE;
    if (st != ST_OK)
        return exit_report(PROGRAM, EXIT_USAGE, st, &err);
    st = map_guard_init(PROGRAM, &err);
    if (st == ST_OK)
        st = eval_run(&opt, &result, &err);
    if (st == ST_OK) {
        eval_report_print(stdout, &opt, &result);
        if (fflush(stdout) != 0 || ferror(stdout))
            st = err_set(&err, ST_IO, "write stdout");
    }
    if (st == ST_OK && opt.json != NULL)
        st = eval_report_write(opt.json, &opt, &result, &err);
    return exit_report(PROGRAM, EXIT_RUNTIME, st, &err);
}
