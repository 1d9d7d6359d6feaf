/*
 * args.h - one table of options per program: it parses, checks and prints --help.
 *
 * Options are "--name value" or "--name=value"; ARG_FLAG takes no value.
 * "--help" is always there and wins over mistakes elsewhere on the line; an
 * option that stands twice is refused; after "--" nothing is an option. Flags
 * are the only settings of our programs.
 */
#ifndef COMMON_ARGS_H
#define COMMON_ARGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/status.h"

enum arg_kind {
    ARG_FLAG,   /* out: bool */
    ARG_STRING, /* out: const char *, borrows argv */
    ARG_INT,    /* out: int64_t, within [min, max] */
    ARG_REAL,   /* out: double, finite, within [min, max] */
    ARG_CHOICE  /* out: int, index into `choices` ("a|b|c") */
};

struct arg_spec {
    const char *name; /* without the dashes */
    enum arg_kind kind;
    void *out;           /* set to its default by the caller; untouched if the option is absent */
    bool *given;         /* may be NULL; set to true if the option stands on the line */
    double min, max;     /* ARG_INT and ARG_REAL */
    const char *choices; /* ARG_CHOICE */
    const char *value;   /* word for the value in --help: "N", "DIR" */
    const char *help;    /* one line */
};

struct args_rest {
    const char **item; /* [max_items], caller's; borrows argv */
    size_t max_items;
    size_t n_items;
};

/* Reads argv[1..). ST_INVALID names the argument and what would be right, the
 * nearest known option for an unknown one. ST_CLOSED after "--help": the caller
 * prints args_help and exits 0. Arguments without dashes go to `rest` (at most
 * max_items; NULL and 0 refuse them all). */
enum status args_parse(const struct arg_spec *spec, size_t n_specs, int argc, char **argv,
                       struct args_rest *rest, struct err *err);

/* "usage: program usage\n\noptions:\n ..." for a terminal of 80 columns. What
 * `out` holds is printed as the default, unless it is a number outside [min, max]. */
void args_help(FILE *to, const char *program, const char *usage, const struct arg_spec *spec,
               size_t n_specs);

/* Strict scalars, whole text consumed: also used for experiment files. */
enum status args_int(const char *text, int64_t min, int64_t max, int64_t *out, struct err *err);
enum status args_real(const char *text, double min, double max, double *out, struct err *err);

#endif
