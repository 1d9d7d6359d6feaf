/*
 * whole_file.h - a small file read at once, or replaced so that a reader sees
 * the old or the new one and never a piece.
 */
#ifndef ORCHESTRATOR_WHOLE_FILE_H
#define ORCHESTRATOR_WHOLE_FILE_H

#include <stddef.h>

#include "common/status.h"

/* *bytes is owned by the caller and ends in an extra NUL. ST_IO, or ST_INVALID
 * if it is longer than max_bytes or no regular file. */
enum status whole_file_read(char **bytes, size_t *n_bytes, const char *path, size_t max_bytes,
                            struct err *err);
/* "path.tmp", fsync, rename, fsync of the folder. */
enum status whole_file_write(const char *path, const char *bytes, size_t n_bytes, struct err *err);

#endif
