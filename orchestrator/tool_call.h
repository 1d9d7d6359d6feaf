/*
 * tool_call.h - one call of a program of another project, found on PATH: its
 * words in, what it prints out.
 */
#ifndef ORCHESTRATOR_TOOL_CALL_H
#define ORCHESTRATOR_TOOL_CALL_H

#include <stddef.h>

#include "common/status.h"

struct tool_answer {
    int exit_status;  /* 128 + n: ended by signal n */
    char *out, *said; /* what it printed on stdout, on stderr; owned, end in a NUL */
};

/* argv ends in NULL; argv[0] is looked up on PATH. stdin is empty, and a
 * terminal's Ctrl-C does not reach it. An exit status other than 0 is no error
 * here. ST_NOT_FOUND: there is no such program. ST_TIMEOUT: it was killed after
 * timeout_s. ST_IO also for more than a megabyte of output. tool_answer_release
 * after ST_OK. */
enum status tool_call(struct tool_answer *out, const char *const *argv, int timeout_s,
                      struct err *err);
void tool_answer_release(struct tool_answer *answer); /* zeroed is fine */

/* ST_IO with the last line of its stderr, or of stdout where that is empty, if
 * it did not exit 0. */
enum status tool_answer_check(const struct tool_answer *answer, const char *name, struct err *err);

#endif
