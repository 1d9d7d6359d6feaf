#include "common/args.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum { HELP_COLUMN = 28, HELP_WIDTH = 80, MAX_NAME = 40 };

static bool has_only(const char *text, const char *allowed)
{
    return text[0] != '\0' && text[strspn(text, allowed)] == '\0';
}

enum status args_int(const char *text, int64_t min, int64_t max, int64_t *out, struct err *err)
{
    char *end = NULL;
    long long v;

    errno = 0;
    v = strtoll(text, &end, 10);
    if (!has_only(text, "-0123456789") || *end != '\0' || end == text)
        return err_set(err, ST_INVALID, "'%.60s' is not a whole number", text);
    if (errno == ERANGE || v < min || v > max)
        return err_set(err, ST_INVALID, "%.60s is not within %lld .. %lld", text, (long long)min,
                       (long long)max);
    *out = v;
    return ST_OK;
}

enum status args_real(const char *text, double min, double max, double *out, struct err *err)
{
    char *end = NULL;
    double v = strtod(text, &end);

    if (!has_only(text, "-+.eE0123456789") || *end != '\0' || end == text)
        return err_set(err, ST_INVALID, "'%.60s' is not a number", text);
    if (!isfinite(v) || v < min || v > max)
        return err_set(err, ST_INVALID, "%.60s is not within %g .. %g", text, min, max);
    *out = v;
    return ST_OK;
}

/* Levenshtein distance of two names shorter than MAX_NAME. */
static size_t distance(const char *a, size_t n_a, const char *b)
{
    size_t row[MAX_NAME + 1];
    size_t n_b = strlen(b);

    if (n_a >= MAX_NAME || n_b >= MAX_NAME)
        return SIZE_MAX;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[n_b];
}

static enum status unknown_option(const struct arg_spec *spec, size_t n_specs, const char *arg,
                                  struct err *err)
{
    size_t n = strcspn(arg + 2, "=");
    const char *nearest = "help";
    size_t best = distance(arg + 2, n, nearest);

    for (size_t i = 0; i < n_specs; i++) {
        size_t d = distance(arg + 2, n, spec[i].name);
        if (d < best) {
            best = d;
            nearest = spec[i].name;
        }
    }
    if (best > 2 + n / 3)
        return err_set(err, ST_INVALID, "unknown option %.80s; --help lists them", arg);
    return err_set(err, ST_INVALID, "unknown option %.80s; did you mean --%s?", arg, nearest);
}

/* Index of the option that `arg` ("--name" or "--name=value") names. */
static size_t find_option(const struct arg_spec *spec, size_t n_specs, const char *arg)
{
    size_t n = strcspn(arg + 2, "=");

    for (size_t i = 0; i < n_specs; i++) {
        if (strlen(spec[i].name) == n && memcmp(spec[i].name, arg + 2, n) == 0)
            return i;
    }
    return n_specs;
}

static enum status set_choice(const struct arg_spec *s, const char *value, struct err *err)
{
    const char *at = s->choices;
    size_t n_value = strlen(value);

    for (int index = 0; *at != '\0'; index++) {
        size_t n = strcspn(at, "|");
        if (n == n_value && memcmp(at, value, n) == 0) {
            *(int *)s->out = index;
            return ST_OK;
        }
        at += n + (at[n] == '|');
    }
    return err_set(err, ST_INVALID, "'%.60s' is not one of %s", value, s->choices);
}

/* A bound of the table as int64_t; doubles beyond its range mean its ends. */
static int64_t as_bound(double v)
{
    if (v >= 0x1p63)
        return INT64_MAX;
    return v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

static enum status set_value(const struct arg_spec *s, const char *value, struct err *err)
{
    switch (s->kind) {
    case ARG_FLAG:
        *(bool *)s->out = true;
        return ST_OK;
    case ARG_STRING:
        *(const char **)s->out = value;
        return ST_OK;
    case ARG_INT:
        return args_int(value, as_bound(s->min), as_bound(s->max), s->out, err);
    case ARG_REAL:
        return args_real(value, s->min, s->max, s->out, err);
    case ARG_CHOICE:
        return set_choice(s, value, err);
    }
    CHECK(!"a kind of option that does not exist");
    return ST_INVALID;
}

/* Reads the option at argv[*at] and moves *at to its last word. */
static enum status take_option(const struct arg_spec *s, char **argv, int argc, int *at,
                               struct err *err)
{
    const char *equals = strchr(argv[*at], '=');
    const char *value = equals != NULL ? equals + 1 : NULL;
    enum status st;

    if (s->kind == ARG_FLAG && value != NULL)
        return err_set(err, ST_INVALID, "option --%s takes no value", s->name);
    if (s->kind != ARG_FLAG && value == NULL) {
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return err_set(err, ST_INVALID, "option --%s needs a value %s", s->name,
                           s->value != NULL ? s->value : "");
        value = argv[++*at];
    }
    st = set_value(s, value, err);
    if (st != ST_OK)
        return err_in(err, st, "option --%s", s->name);
    if (s->given != NULL)
        *s->given = true;
    return ST_OK;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return true;
    }
    return false;
}

static enum status take_rest(struct args_rest *rest, const char *arg, struct err *err)
{
    if (rest == NULL || rest->max_items == 0)
        return err_set(err, ST_INVALID, "unexpected argument '%.80s'; options start with --", arg);
    if (rest->n_items == rest->max_items)
        return err_set(err, ST_INVALID, "unexpected argument '%.80s' after the first %zu", arg,
                       rest->max_items);
    rest->item[rest->n_items++] = arg;
    return ST_OK;
}

enum status args_parse(const struct arg_spec *spec, size_t n_specs, int argc, char **argv,
                       struct args_rest *rest, struct err *err)
{
    bool *seen = mem_array(n_specs, sizeof *seen);
    bool only_rest = false;
    enum status st = ST_OK;

    if (rest != NULL)
        rest->n_items = 0;
    if (asks_for_help(argc, argv))
        st = ST_CLOSED;
    for (int at = 1; at < argc && st == ST_OK; at++) {
        const char *arg = argv[at];
        if (only_rest || arg[0] != '-' || arg[1] == '\0') {
            st = take_rest(rest, arg, err);
        } else if (strcmp(arg, "--") == 0) {
            only_rest = true;
        } else if (arg[1] != '-') {
            st = err_set(err, ST_INVALID, "unknown option %.80s; options start with --", arg);
        } else {
            size_t i = find_option(spec, n_specs, arg);
            if (i == n_specs)
                st = unknown_option(spec, n_specs, arg, err);
            else if (seen[i])
                st = err_set(err, ST_INVALID, "option --%s stands twice", spec[i].name);
            else
                st = take_option(&spec[i], argv, argc, &at, err);
            if (i < n_specs)
                seen[i] = true;
        }
    }
    free(seen);
    return st;
}

/* Words of `text` wrapped to HELP_WIDTH, every further line at HELP_COLUMN. */
static void print_wrapped(FILE *to, const char *text, size_t column)
{
    while (*text != '\0') {
        size_t n = strcspn(text, " ");
        if (column + n + 1 > HELP_WIDTH && column > HELP_COLUMN) {
            fprintf(to, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        fprintf(to, "%s%.*s", column > HELP_COLUMN ? " " : "", (int)n, text);
        column += n + (column > HELP_COLUMN);
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

/* " (default X)", or nothing where there is no default: a number that the option
 * itself would refuse stands for "not given". */
static void default_words(const struct arg_spec *s, char *buf, size_t size)
{
    const char *at = s->choices;
    double number = s->kind == ARG_INT    ? (double)*(int64_t *)s->out
                    : s->kind == ARG_REAL ? *(double *)s->out
                                          : 0.0;

    buf[0] = '\0';
    if ((s->kind == ARG_INT || s->kind == ARG_REAL) && (number < s->min || number > s->max))
        return;
    if (s->kind == ARG_INT)
        snprintf(buf, size, " (default %lld)", (long long)*(int64_t *)s->out);
    if (s->kind == ARG_REAL)
        snprintf(buf, size, " (default %g)", number);
    if (s->kind == ARG_STRING && *(const char **)s->out != NULL)
        snprintf(buf, size, " (default %s)", *(const char **)s->out);
    if (s->kind != ARG_CHOICE)
        return;
    for (int i = 0; i < *(int *)s->out && *at != '\0'; i++)
        at += strcspn(at, "|") + (at[strcspn(at, "|")] == '|');
    snprintf(buf, size, " (default %.*s)", (int)strcspn(at, "|"), at);
}

static void print_option(FILE *to, const struct arg_spec *s)
{
    const char *value = s->kind == ARG_CHOICE && s->value == NULL ? s->choices : s->value;
    char words[200];
    char *text;
    int n;

    if (s->kind == ARG_FLAG || value == NULL)
        n = fprintf(to, "  --%s", s->name);
    else
        n = fprintf(to, "  --%s %s", s->name, value);
    if (n + 2 > HELP_COLUMN)
        fprintf(to, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(to, "%*s", HELP_COLUMN - n, "");
    default_words(s, words, sizeof words);
    text = mem_printf("%s%s", s->help != NULL ? s->help : "", words);
    print_wrapped(to, text, HELP_COLUMN);
    free(text);
}

void args_help(FILE *to, const char *program, const char *usage, const struct arg_spec *spec,
               size_t n_specs)
{
    const struct arg_spec help = {.name = "help", .kind = ARG_FLAG, .help = "print this text"};

    fprintf(to, "usage: %s %s\n\noptions:\n", program, usage);
    for (size_t i = 0; i < n_specs; i++)
        print_option(to, &spec[i]);
    print_option(to, &help);
}
