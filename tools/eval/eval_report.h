/*
 * eval_report.h - a comparison as a table of 80 columns, and as JSON.
 */
#ifndef TOOLS_EVAL_EVAL_REPORT_H
#define TOOLS_EVAL_EVAL_REPORT_H

#include <stdio.h>

#include "tools/eval/eval_run.h"

void eval_report_print(FILE *to, const struct eval_options *opt, const struct eval_result *r);
/* Replaces the file as a whole (FORMATS.md, "Eval file"). ST_IO. */
enum status eval_report_write(const char *path, const struct eval_options *opt,
                              const struct eval_result *r, struct err *err);
/* "none|hadamard|signed-hadamard", in the order of enum eval_turn. */
extern const char eval_report_turns[];

#endif
