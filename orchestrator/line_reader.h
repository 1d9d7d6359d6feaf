/*
 * line_reader.h - the lines of a large file, one after the other, without ever
 * holding more of it than one line.
 */
#ifndef ORCHESTRATOR_LINE_READER_H
#define ORCHESTRATOR_LINE_READER_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct line_reader; /* owns its descriptor and buffer */

struct line {
    const char *text; /* [n_bytes], without its line break; borrowed until the next call */
    size_t n_bytes;
    uint64_t number; /* from 1 */
};

/* ST_NOT_FOUND, ST_IO, or ST_INVALID: no regular file; a named pipe is refused
 * and not waited for. max_bytes: of one line. */
enum status line_reader_open(struct line_reader **out, const char *path, size_t max_bytes,
                             struct err *err);
void line_reader_close(struct line_reader *reader); /* NULL is fine */

/* *found false: the file ends here. A last line without line break counts.
 * ST_IO, or ST_INVALID "path:line: ..." where a line is too long. */
enum status line_reader_next(struct line_reader *reader, struct line *out, bool *found,
                             struct err *err);

#endif
