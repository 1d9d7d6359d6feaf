/*
 * options.h - the flags of mspeckv-synth, made into one shape and one job.
 */
#ifndef TOOLS_SYNTH_OPTIONS_H
#define TOOLS_SYNTH_OPTIONS_H

#include "tools/synth/synth.h"

struct options {
    struct arch arch;       /* the named shape with --layers, or the given one */
    struct synth_args args; /* args.arch points to `arch` */
};

/* Borrows argv. ST_INVALID names the flag; ST_CLOSED: --help was printed. */
enum status options_parse(struct options *out, int argc, char **argv, struct err *err);

#endif
