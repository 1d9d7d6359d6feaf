/*
 * text_files.h - a private folder of small files, for tests of datasets.
 */
#ifndef TESTS_ORCHESTRATOR_TEXT_FILES_H
#define TESTS_ORCHESTRATOR_TEXT_FILES_H

#include "tests/test_helpers.h"

#include <sys/stat.h>

#include "common/mem.h"

static char text_files_dir[64];

static inline int text_files_make(void **state)
{
    strcpy(text_files_dir, "/tmp/test_texts_XXXXXX");
    return mkdtemp(text_files_dir) == NULL;
}

static inline int text_files_drop(void **state)
{
    char *command = mem_printf("rm -rf %s", text_files_dir);
    int rc = system(command);
    free(command);
    return rc;
}

/* The path of `name` in the folder; owned by the caller. */
static inline char *text_files_path(const char *name)
{
    return mem_printf("%s/%s", text_files_dir, name);
}

static inline char *text_files_write_bytes(const char *name, const char *bytes, size_t n)
{
    char *path = text_files_path(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

/* The path that was written; owned by the caller. */
static inline char *text_files_write(const char *name, const char *text)
{
    return text_files_write_bytes(name, text, strlen(text));
}

#endif
