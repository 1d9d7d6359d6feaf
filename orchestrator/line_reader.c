#include "orchestrator/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

enum { FIRST_BYTES = 1 << 16 };

struct line_reader {
    int fd;
    char *path;
    size_t max_bytes;
    char *buf; /* [cap] */
    size_t cap;
    size_t begin, end; /* what is read and not yet given out */
    uint64_t n_lines;  /* given out */
    bool at_end;       /* of the file */
};

static enum status open_file(int *out, const char *path, struct err *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum status st = ST_OK;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "open %s: %s", path,
                       strerror(errno));
    if (fstat(fd, &info) != 0)
        st = err_set(err, ST_IO, "stat %s: %s", path, strerror(errno));
    else if (!S_ISREG(info.st_mode))
        st = err_set(err, ST_INVALID, "%s is no regular file", path);
    if (st == ST_OK)
        *out = fd;
    else
        close(fd);
    return st;
}

enum status line_reader_open(struct line_reader **out, const char *path, size_t max_bytes,
                             struct err *err)
{
    struct line_reader *r;
    int fd = -1;
    enum status st = open_file(&fd, path, err);

    if (st != ST_OK)
        return st;
    r = mem_zalloc(sizeof *r);
    r->fd = fd;
    r->path = mem_strdup(path);
    r->max_bytes = max_bytes;
    r->cap = FIRST_BYTES;
    r->buf = mem_alloc(r->cap);
    *out = r;
    return ST_OK;
}

void line_reader_close(struct line_reader *r)
{
    if (r == NULL)
        return;
    close(r->fd);
    free(r->path);
    free(r->buf);
    free(r);
}

/* Puts more of the file behind what is held; at_end where there is no more. */
static enum status read_more(struct line_reader *r, struct err *err)
{
    ssize_t got;

    if (r->begin > 0) {
        memmove(r->buf, r->buf + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    if (r->end == r->cap) {
        r->cap *= 2;
        r->buf = mem_resize(r->buf, r->cap, 1);
    }
    do
        got = read(r->fd, r->buf + r->end, r->cap - r->end);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_set(err, ST_IO, "read %s: %s", r->path, strerror(errno));
    r->at_end = got == 0;
    r->end += (size_t)got;
    return ST_OK;
}

static void give(struct line_reader *r, struct line *out, size_t n_bytes, size_t n_break)
{
    *out = (struct line){r->buf + r->begin, n_bytes, ++r->n_lines};
    r->begin += n_bytes + n_break;
}

enum status line_reader_next(struct line_reader *r, struct line *out, bool *found, struct err *err)
{
    size_t n_seen = 0;

    *found = true;
    for (;;) {
        size_t n = r->end - r->begin;
        const char *at = r->buf + r->begin;
        const char *stop = memchr(at + n_seen, '\n', n - n_seen);

        if ((stop != NULL ? (size_t)(stop - at) : n) > r->max_bytes)
            return err_set(err, ST_INVALID,
                           "%s:%llu: the line has more than %zu bytes, the most that is read",
                           r->path, (unsigned long long)r->n_lines + 1, r->max_bytes);
        if (stop != NULL) {
            give(r, out, (size_t)(stop - at), 1);
            return ST_OK;
        }
        if (r->at_end)
            break;
        n_seen = n;
        enum status st = read_more(r, err);
        if (st != ST_OK)
            return st;
    }
    *found = r->end > r->begin;
    if (*found)
        give(r, out, r->end - r->begin, 0);
    return ST_OK;
}
