/*
 * log_tail.h - the last lines of a process's log: what it said before it failed.
 */
#ifndef ORCHESTRATOR_LOG_TAIL_H
#define ORCHESTRATOR_LOG_TAIL_H

#include <stddef.h>
#include <stdint.h>

enum { LOG_TAIL_BYTES = 1200, LOG_TAIL_LINES = 8 };

/* The last n_lines lines, '\n' between them and none at the end, control
 * characters as blanks and bytes beyond ASCII as '?'; the first ones are left out where `size` is too small
 * for all, and a single line is cut at its end. "" if there are none. */
void log_tail_read(const char *path, uint32_t n_lines, char *buf, size_t size);
/* The last of them, within `tail`. */
const char *log_tail_last(const char *tail);

#endif
