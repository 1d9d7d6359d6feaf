/*
 * mem.h - host memory that does not fail, and CHECK for our own bugs.
 *
 * Running out of host memory ends the process with one line; running out of
 * pages or device memory is not a bug and is reported as ST_NO_SPACE.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

/* Never NULL, also for 0 bytes. The caller owns the result: free() it. */
void *mem_alloc(size_t size_bytes);
void *mem_zalloc(size_t size_bytes);
/* n * size_bytes is checked for overflow; zeroed. */
void *mem_array(size_t n, size_t size_bytes);
/* Keeps the old bytes; `old` may be NULL; n * size_bytes is checked. */
void *mem_resize(void *old, size_t n, size_t size_bytes);
/* `align` is a power of two; free() it. Zeroed. */
void *mem_aligned(size_t align, size_t size_bytes);
char *mem_strdup(const char *text);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints file, line and condition on stderr and aborts. For our own bugs
 * only, never for anything that came from outside. */
void mem_check_failed(const char *file, int line, const char *what) __attribute__((noreturn));
#define CHECK(cond) ((cond) ? (void)0 : mem_check_failed(__FILE__, __LINE__, #cond))

#endif
