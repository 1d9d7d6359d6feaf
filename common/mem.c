#include "common/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mem_check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
    abort();
}

static void *or_die(void *p, size_t size_bytes)
{
    if (p == NULL) {
        fprintf(stderr, "out of host memory: %zu bytes\n", size_bytes);
        abort();
    }
    return p;
}

void *mem_alloc(size_t size_bytes)
{
    return or_die(malloc(size_bytes > 0 ? size_bytes : 1), size_bytes);
}

void *mem_zalloc(size_t size_bytes)
{
    return or_die(calloc(1, size_bytes > 0 ? size_bytes : 1), size_bytes);
}

void *mem_array(size_t n, size_t size_bytes)
{
    return or_die(calloc(n > 0 ? n : 1, size_bytes > 0 ? size_bytes : 1), n);
}

void *mem_resize(void *old, size_t n, size_t size_bytes)
{
    CHECK(size_bytes == 0 || n <= SIZE_MAX / size_bytes);
    if (n * size_bytes == 0)
        n = size_bytes = 1;
    return or_die(realloc(old, n * size_bytes), n * size_bytes);
}

void *mem_aligned(size_t align, size_t size_bytes)
{
    size_t padded = (size_bytes + align - 1) / align * align;
    void *p;

    CHECK(padded >= size_bytes);
    p = or_die(aligned_alloc(align, padded > 0 ? padded : align), size_bytes);
    memset(p, 0, padded > 0 ? padded : align);
    return p;
}

char *mem_strdup(const char *text)
{
    return or_die(strdup(text), strlen(text));
}

char *mem_printf(const char *fmt, ...)
{
    char *out = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&out, fmt, ap);
    va_end(ap);
    return or_die(n < 0 ? NULL : out, 0);
}
