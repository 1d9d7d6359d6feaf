/*
 * map_guard.h - what a process says when a file that it has mapped is shortened.
 *
 * The kernel answers a read past the new end with SIGBUS, in whichever thread reads.
 * A program that called map_guard_init then writes one line with the file's path to
 * stderr and exits with EXIT_RUNTIME. What lies in the last page that the file still
 * has reads as zeros and cannot be noticed.
 */
#ifndef COMMON_MAP_GUARD_H
#define COMMON_MAP_GUARD_H

#include <stddef.h>

#include "common/status.h"

/* `program` stands at the start of the line; borrowed for ever. Any other SIGBUS is
 * left to what handled it before. */
enum status map_guard_init(const char *program, struct err *err);

/* From here on reads within bytes[0 .. n_bytes) are those of the file `path`, which is
 * copied. At most MAP_GUARD_FILES at once, from one thread. */
enum { MAP_GUARD_FILES = 4096 };
void map_guard_add(const void *bytes, size_t n_bytes, const char *path);
/* Before they are unmapped. Bytes that were not added are fine. */
void map_guard_remove(const void *bytes);

#endif
