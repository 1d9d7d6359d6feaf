#include "orchestrator/event_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

struct event_stream {
    int fd; /* -1: the reader has gone */
    uint64_t begin_ns;
};

static enum status check(int fd, struct err *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return err_set(err, ST_INVALID,
                       "descriptor %d: %s; one that is open, as 3 in 3>FILE, "
                       "would be right",
                       fd, strerror(errno));
    if ((flags & O_ACCMODE) == O_RDONLY)
        return err_set(err, ST_INVALID, "descriptor %d is open for reading only", fd);
    return ST_OK;
}

/* stdout has two writers, so the other one has to leave. */
static enum status take_stdout(int *fd, struct err *err)
{
    *fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (*fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return err_set(err, ST_IO, "stdout: %s", strerror(errno));
    return ST_OK;
}

enum status event_stream_open(struct event_stream **out, int fd, struct err *err)
{
    enum status st = check(fd, err);

    if (st == ST_OK && fd == STDOUT_FILENO)
        st = take_stdout(&fd, err);
    else if (st == ST_OK && fd > STDERR_FILENO)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (st != ST_OK)
        return st;
    *out = mem_zalloc(sizeof **out);
    (*out)->fd = fd;
    (*out)->begin_ns = clock_now_ns();
    return ST_OK;
}

void event_stream_close(struct event_stream *s)
{
    if (s != NULL && s->fd > STDERR_FILENO)
        close(s->fd);
    free(s);
}

static void put_line(struct event_stream *s, const char *line, size_t n)
{
    while (n > 0) {
        ssize_t put = write(s->fd, line, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN) { /* somebody made it non-blocking */
            struct pollfd room = {.fd = s->fd, .events = POLLOUT};
            poll(&room, 1, -1);
            continue;
        }
        if (put < 0) {
            log_warn(LOG_RUN, "progress events end: %s", strerror(errno));
            if (s->fd > STDERR_FILENO)
                close(s->fd);
            s->fd = -1;
            return;
        }
        line += put;
        n -= (size_t)put;
    }
}

void event_stream_put(struct event_stream *s, const char *event, void *json)
{
    json_t *all;
    char *text, *line;

    if (s->fd < 0) {
        json_decref(json);
        return;
    }
    all = json_pack("{s:s, s:f}", "event", event, "t", clock_seconds_since(s->begin_ns));
    CHECK(all != NULL && json != NULL && json_object_update(all, json) == 0);
    json_decref(json);
    text = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(all);
    CHECK(text != NULL);
    line = mem_printf("%s\n", text);
    put_line(s, line, strlen(line));
    free(line);
    free(text);
}
