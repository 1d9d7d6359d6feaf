#include "model/json_doc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

static enum status read_all(int fd, char *to, size_t n_bytes, const char *path, struct err *err)
{
    size_t at = 0;

    while (at < n_bytes) {
        ssize_t got = read(fd, to + at, n_bytes - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(err, ST_IO, "read %s: %s", path, strerror(errno));
        if (got == 0)
            return err_set(err, ST_CORRUPT, "%s: shrank while it was read", path);
        at += (size_t)got;
    }
    return ST_OK;
}

static enum status read_open_file(int fd, char **out, size_t *out_bytes, const char *path,
                                  struct err *err)
{
    struct stat info;
    enum status st;
    char *text;

    if (fstat(fd, &info) != 0)
        return err_set(err, ST_IO, "fstat %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return err_set(err, ST_CORRUPT, "%s: not a regular file", path);
    if (info.st_size > JSON_DOC_MAX_BYTES)
        return err_set(err, ST_CORRUPT, "%s: %lld bytes, at most %d are allowed", path,
                       (long long)info.st_size, JSON_DOC_MAX_BYTES);

    text = mem_alloc((size_t)info.st_size);
    st = read_all(fd, text, (size_t)info.st_size, path, err);
    if (st != ST_OK) {
        free(text);
        return st;
    }
    *out = text;
    *out_bytes = (size_t)info.st_size;
    return ST_OK;
}

enum status json_doc_read(char **out, size_t *out_bytes, const char *path, struct err *err)
{
    /* O_NONBLOCK: opening a pipe that stands in the file's place must not hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum status st;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "open %s: %s", path,
                       strerror(errno));
    st = read_open_file(fd, out, out_bytes, path, err);
    close(fd);
    return st;
}

struct json_word json_doc_word(const char *text)
{
    struct json_word word = {{0}};

    for (size_t i = 0; i + 1 < sizeof word.text && text[i] != '\0'; i++)
        word.text[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    return word;
}

enum status json_doc_parse(json_t **out, const char *text, size_t n_bytes, const char *name,
                           struct err *err)
{
    json_error_t where;
    json_t *root;

    if (n_bytes > JSON_DOC_MAX_BYTES)
        return err_set(err, ST_CORRUPT, "%s: %zu bytes of JSON, at most %d are allowed", name,
                       n_bytes, JSON_DOC_MAX_BYTES);
    root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL)
        return err_set(err, ST_CORRUPT, "%s:%d:%d: %s", name, where.line, where.column,
                       json_doc_word(where.text).text);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ST_CORRUPT, "%s: holds no JSON object", name);
    }
    *out = root;
    return ST_OK;
}
