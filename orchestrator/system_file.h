/*
 * system_file.h - the small text files in which the kernel describes a machine.
 *
 * `root` stands before every path: "" for this machine, a folder with proc/ and
 * sys/ in it for another. A file that is absent or says nothing usable is no
 * error: the answer is false, and nothing is written.
 */
#ifndef ORCHESTRATOR_SYSTEM_FILE_H
#define ORCHESTRATOR_SYSTEM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SYSTEM_FILE_MAX = 64 * 1024 }; /* bytes that are read of a file */

/* The first line without blanks at its end, cut to the buffer; never empty. */
bool system_file_line(const char *root, const char *path, char *buf, size_t size);
/* The first line is this number and nothing else. */
bool system_file_number(const char *root, const char *path, uint64_t *out);
/* What follows `key` at the beginning of a line, without the colon and blanks
 * between and the blanks at the end: "MemTotal" of "MemTotal:  1024 kB" is "1024 kB". */
bool system_file_value(const char *root, const char *path, const char *key, char *buf, size_t size);
/* The number that such a value begins with; times 1024 if "kB" follows. */
bool system_file_bytes(const char *root, const char *path, const char *key, uint64_t *out);
/* The word in brackets: "madvise" of "always [madvise] never". */
bool system_file_choice(const char *root, const char *path, char *buf, size_t size);

#endif
