/*
 * whole_file.h - a file read at once, or replaced so that a reader sees the old
 * or the new one and never a piece.
 */
#ifndef COMMON_WHOLE_FILE_H
#define COMMON_WHOLE_FILE_H

#include <stddef.h>

#include "common/status.h"

/* *bytes is owned by the caller (free()) and ends in a NUL that *n_bytes does
 * not count. A file that grows meanwhile is read to its new end. ST_NOT_FOUND,
 * ST_IO, or ST_INVALID: longer than max_bytes, or no regular file; a named pipe
 * is refused and not waited for. */
enum status whole_file_read(char **bytes, size_t *n_bytes, const char *path, size_t max_bytes,
                            struct err *err);
/* "path.tmp", fsync, rename, fsync of the folder. */
enum status whole_file_write(const char *path, const char *bytes, size_t n_bytes, struct err *err);

#endif
