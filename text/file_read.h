/*
 * file_read.h - a regular file's bytes as a whole.
 */
#ifndef TEXT_FILE_READ_H
#define TEXT_FILE_READ_H

#include "common/status.h"
#include "text/text_buf.h"

/* Appends the file to *out, which the caller releases also on failure.
 * ST_NOT_FOUND: no such file; ST_INVALID: not a regular file, or larger than
 * max_bytes; ST_IO. */
enum status file_read(struct text_buf *out, const char *path, size_t max_bytes, struct err *err);

#endif
