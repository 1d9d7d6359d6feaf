#include "common/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

enum { GROW_BYTES = 65536 };

static enum status too_large(const char *path, size_t max_bytes, struct err *err)
{
    return err_set(err, ST_INVALID, "%s has more than %zu bytes, the most that is read", path,
                   max_bytes);
}

static enum status check_file(int fd, size_t *n_bytes, const char *path, size_t max_bytes,
                              struct err *err)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return err_set(err, ST_IO, "stat %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return err_set(err, ST_INVALID, "%s is no regular file", path);
    if (info.st_size < 0 || (uintmax_t)info.st_size > max_bytes)
        return too_large(path, max_bytes, err);
    *n_bytes = (size_t)info.st_size;
    return ST_OK;
}

/* Room for the size that the file had at first, and for more if it grew. */
static enum status read_fd(int fd, char **bytes, size_t *n_bytes, const char *path,
                           size_t max_bytes, struct err *err)
{
    size_t cap = 0, n = 0;
    enum status st = check_file(fd, &cap, path, max_bytes, err);
    char *buf;

    if (st != ST_OK)
        return st;
    cap += 1; /* one more than expected: then the end shows at once */
    buf = mem_alloc(cap);
    while (st == ST_OK) {
        ssize_t got = read(fd, buf + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            st = err_set(err, ST_IO, "read %s: %s", path, strerror(errno));
        if (got <= 0)
            break;
        n += (size_t)got;
        if (n > max_bytes)
            st = too_large(path, max_bytes, err);
        if (st == ST_OK && n == cap)
            buf = mem_resize(buf, cap += GROW_BYTES, 1);
    }
    if (st != ST_OK) {
        free(buf);
        return st;
    }
    buf[n] = '\0'; /* the last read had room, so n < cap */
    *bytes = buf;
    *n_bytes = n;
    return ST_OK;
}

enum status whole_file_read(char **bytes, size_t *n_bytes, const char *path, size_t max_bytes,
                            struct err *err)
{
    /* O_NONBLOCK: opening a named pipe must not wait for a writer; it is refused afterwards. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum status st;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "open %s: %s", path,
                       strerror(errno));
    st = read_fd(fd, bytes, n_bytes, path, max_bytes, err);
    close(fd);
    return st;
}

static enum status write_fd(int fd, const char *path, const char *bytes, size_t n_bytes,
                            struct err *err)
{
    while (n_bytes > 0) {
        ssize_t put = write(fd, bytes, n_bytes);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_set(err, ST_IO, "write %s: %s", path, strerror(errno));
        bytes += put;
        n_bytes -= (size_t)put;
    }
    if (fsync(fd) != 0)
        return err_set(err, ST_IO, "fsync %s: %s", path, strerror(errno));
    return ST_OK;
}

/* The rename itself is only safe once the folder is on disk. */
static enum status sync_folder(const char *path, struct err *err)
{
    char *copy = mem_strdup(path);
    enum status st = ST_OK;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        st = err_set(err, ST_IO, "fsync the folder of %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(copy);
    return st;
}

enum status whole_file_write(const char *path, const char *bytes, size_t n_bytes, struct err *err)
{
    char *temporary = mem_printf("%s.tmp", path);
    enum status st;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        st = err_set(err, ST_IO, "open %s: %s", temporary, strerror(errno));
        free(temporary);
        return st;
    }
    st = write_fd(fd, temporary, bytes, n_bytes, err);
    if (close(fd) != 0 && st == ST_OK)
        st = err_set(err, ST_IO, "close %s: %s", temporary, strerror(errno));
    if (st == ST_OK && rename(temporary, path) != 0)
        st = err_set(err, ST_IO, "rename %s to %s: %s", temporary, path, strerror(errno));
    if (st != ST_OK)
        unlink(temporary);
    else
        st = sync_folder(path, err);
    free(temporary);
    return st;
}
