/*
 * temp_dir.h - a private directory of plain files, removed at the end of a case.
 */
#ifndef TESTS_MODEL_TEMP_DIR_H
#define TESTS_MODEL_TEMP_DIR_H

#include <dirent.h>
#include <sys/stat.h>

#include "tests/test_helpers.h"

struct temp_dir {
    char path[64];
};

static inline struct temp_dir temp_dir_make(void)
{
    struct temp_dir dir = {"/tmp/mspeckv-test-XXXXXX"};

    assert_non_null(mkdtemp(dir.path));
    return dir;
}

static inline void temp_dir_write(const struct temp_dir *dir, const char *name, const void *bytes,
                                  size_t n_bytes)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir->path, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n_bytes, f), n_bytes);
    assert_int_equal(fclose(f), 0);
}

static inline void temp_dir_text(const struct temp_dir *dir, const char *name, const char *text)
{
    temp_dir_write(dir, name, text, strlen(text));
}

static inline void temp_dir_remove(const struct temp_dir *dir)
{
    DIR *list = opendir(dir->path);
    char path[512];

    assert_non_null(list);
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        snprintf(path, sizeof path, "%s/%s", dir->path, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlink(path) != 0)
            assert_int_equal(rmdir(path), 0);
    }
    closedir(list);
    assert_int_equal(rmdir(dir->path), 0);
}

#endif
