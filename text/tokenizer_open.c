#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "text/tokenizer.h"
#include "text/tokenizer_config.h"

/* Twice the largest files in use (35 MB); the tree of a hostile one of this size,
 * some 20 bytes a byte, still fits into memory. */
#define MAX_FILE_BYTES ((size_t)64 << 20)

static enum status build(struct tokenizer *tok, const char *path,
                         const struct tokenizer_hints *hints, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = text_copy(path, slash ? (size_t)(slash - path) + 1 : 0), *bytes = NULL;
    size_t n_bytes = 0;
    enum status st = whole_file_read(&bytes, &n_bytes, path, MAX_FILE_BYTES, err);

    if (st == ST_OK) {
        st = tokenizer_read(tok, bytes, n_bytes, hints, err);
        if (st != ST_OK)
            err_in(err, st, "%s", path);
    }
    if (st == ST_OK)
        st = tokenizer_config_apply(tok, folder, err);
    free(bytes);
    free(folder);
    return st;
}

static enum status open_file(struct tokenizer **out, const char *path,
                             const struct tokenizer_hints *hints, struct err *err)
{
    struct tokenizer *tok = tokenizer_new();
    enum status st = build(tok, path, hints, err);

    if (st != ST_OK) {
        tokenizer_close(tok);
        return st;
    }
    tokenizer_seal(tok);
    *out = tok;
    return ST_OK;
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), n_end = strlen(end);

    return n > n_end && strcmp(name + n - n_end, end) == 0;
}

/* *path becomes the one NAME.tiktoken of the directory, or NULL. */
static enum status find_ranks(char **path, const char *dir, struct err *err)
{
    DIR *list = opendir(dir);
    enum status st = ST_OK;

    *path = NULL;
    if (list == NULL)
        return err_set(err, ST_IO, "%s: %s", dir, strerror(errno));
    for (const struct dirent *e = readdir(list); st == ST_OK && e != NULL; e = readdir(list)) {
        if (!ends_in(e->d_name, ".tiktoken"))
            continue;
        if (*path != NULL)
            st = err_set(err, ST_INVALID, "%s has several .tiktoken files; name the one to use",
                         dir);
        else
            *path = mem_printf("%s/%s", dir, e->d_name);
    }
    closedir(list);
    if (st != ST_OK) {
        free(*path);
        *path = NULL;
    }
    return st;
}

static enum status find_file(char **path, const char *dir, struct err *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    struct stat info;
    enum status st;

    for (int i = 0; i < 2; i++) {
        *path = mem_printf("%s/%s", dir, names[i]);
        if (stat(*path, &info) == 0)
            return ST_OK;
        free(*path);
    }
    st = find_ranks(path, dir, err);
    if (st == ST_OK && *path == NULL)
        st = err_set(err, ST_NOT_FOUND,
                     "%s has neither tokenizer.json nor tokenizer.model nor a .tiktoken file", dir);
    return st;
}

enum status tokenizer_open_split(struct tokenizer **out, const char *dir_or_file,
                                 const char *pattern, struct err *err)
{
    const struct tokenizer_hints hints = {pattern};
    struct stat info;
    char *path = NULL;
    enum status st = ST_OK;

    if (stat(dir_or_file, &info) == 0 && S_ISDIR(info.st_mode))
        st = find_file(&path, dir_or_file, err);
    if (st == ST_OK)
        st = open_file(out, path != NULL ? path : dir_or_file, &hints, err);
    free(path);
    return st == ST_OK ? ST_OK : err_in(err, st, "opening the tokenizer");
}

enum status tokenizer_open(struct tokenizer **out, const char *dir_or_file, struct err *err)
{
    return tokenizer_open_split(out, dir_or_file, NULL, err);
}
