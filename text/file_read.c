#include "text/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status too_large(const char *path, size_t max_bytes, struct err *err)
{
    return err_set(err, ST_INVALID, "%s is larger than %zu bytes", path, max_bytes);
}

static enum status read_all(struct text_buf *out, int fd, const char *path, size_t max_bytes,
                            struct err *err)
{
    char chunk[65536];

    /* The size at the start is not trusted: the file may grow meanwhile. */
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(err, ST_IO, "read %s: %s", path, strerror(errno));
        if (got == 0)
            return ST_OK;
        if ((size_t)got > max_bytes - out->n)
            return too_large(path, max_bytes, err);
        text_buf_add(out, chunk, (size_t)got);
    }
}

enum status file_read(struct text_buf *out, const char *path, size_t max_bytes, struct err *err)
{
    struct stat info;
    enum status st;
    /* O_NONBLOCK: a named pipe is refused below instead of waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "open %s: %s", path,
                       strerror(errno));
    if (fstat(fd, &info) != 0)
        st = err_set(err, ST_IO, "stat %s: %s", path, strerror(errno));
    else if (S_ISDIR(info.st_mode))
        st = err_set(err, ST_INVALID, "%s is a directory, not a file", path);
    else if (!S_ISREG(info.st_mode))
        st = err_set(err, ST_INVALID, "%s is not a regular file", path);
    else if (info.st_size > 0 && (uintmax_t)info.st_size > max_bytes)
        st = too_large(path, max_bytes, err);
    else
        st = read_all(out, fd, path, max_bytes, err);
    close(fd);
    return st;
}
