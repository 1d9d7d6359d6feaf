#include "orchestrator/tool_call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

enum { MAX_BYTES = 1 << 20, PIECE = 4096 };

struct stream {
    int pipe[2]; /* -1: closed */
    char *text;
    size_t n;
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static enum status open_streams(struct stream s[2], struct err *err)
{
    for (int i = 0; i < 2; i++) {
        if (pipe2(s[i].pipe, O_CLOEXEC) != 0)
            return err_set(err, ST_IO, "pipe: %s", strerror(errno));
        s[i].text = mem_zalloc(1);
    }
    return ST_OK;
}

static enum status start(pid_t *pid, const char *const *argv, struct stream s[2], struct err *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t defaults;
    int error;

    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, s[0].pipe[1], 1);
    posix_spawn_file_actions_adddup2(&files, s[1].pipe[1], 2);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigdefault(&how, &defaults);
    error = posix_spawnp(pid, argv[0], &files, &how, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    if (error == ENOENT)
        return err_set(err, ST_NOT_FOUND, "there is no program %s on PATH", argv[0]);
    return error == 0 ? ST_OK : err_set(err, ST_IO, "run %s: %s", argv[0], strerror(error));
}

/* Takes what is there; closes the pipe at its end. */
static enum status take(struct stream *s, const char *name, struct err *err)
{
    ssize_t n;

    if (s->n > MAX_BYTES)
        return err_set(err, ST_IO, "%s printed over %d bytes", name, MAX_BYTES);
    s->text = mem_resize(s->text, s->n + PIECE + 1, 1);
    n = read(s->pipe[0], s->text + s->n, PIECE);
    s->n += n > 0 ? (size_t)n : 0;
    s->text[s->n] = '\0';
    if (n == 0)
        close_end(&s->pipe[0]);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return err_set(err, ST_IO, "read what %s prints: %s", name, strerror(errno));
    return ST_OK;
}

static enum status listen_to(struct stream s[2], const char *name, int timeout_s, struct err *err)
{
    uint64_t end_ns = clock_now_ns() + (uint64_t)timeout_s * 1000000000u;
    enum status st = ST_OK;

    while (st == ST_OK && (s[0].pipe[0] >= 0 || s[1].pipe[0] >= 0)) {
        struct pollfd ready[2] = {{.fd = s[0].pipe[0], .events = POLLIN},
                                  {.fd = s[1].pipe[0], .events = POLLIN}};
        uint64_t now_ns = clock_now_ns();
        if (now_ns >= end_ns)
            return err_set(err, ST_TIMEOUT, "%s: no answer in %d s", name, timeout_s);
        if (poll(ready, 2, (int)((end_ns - now_ns) / 1000000u) + 1) <= 0)
            continue;
        for (int i = 0; i < 2 && st == ST_OK; i++)
            if (ready[i].revents != 0)
                st = take(&s[i], name, err);
    }
    return st;
}

/* Both pipes are at their end, so it has ended or does so at once; if it only
 * closed them it is killed at the end of its time. */
static enum status await(pid_t pid, int timeout_s, const char *name, int *exit_status,
                         struct err *err)
{
    uint64_t end_ns = clock_now_ns() + (uint64_t)timeout_s * 1000000000u;
    int how = 0;
    pid_t got = 0;

    while (got == 0 && clock_now_ns() < end_ns) {
        got = waitpid(pid, &how, WNOHANG);
        if (got == 0)
            poll(NULL, 0, 1);
    }
    if (got == 0)
        return err_set(err, ST_TIMEOUT, "%s: no end in %d s", name, timeout_s);
    *exit_status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
    return ST_OK;
}

enum status tool_call(struct tool_answer *out, const char *const *argv, int timeout_s,
                      struct err *err)
{
    struct stream s[2] = {{.pipe = {-1, -1}}, {.pipe = {-1, -1}}};
    int exit_status = 0;
    pid_t pid = 0;
    enum status st = open_streams(s, err);

    if (st == ST_OK)
        st = start(&pid, argv, s, err);
    for (int i = 0; i < 2; i++)
        close_end(&s[i].pipe[1]);
    if (st == ST_OK) {
        st = listen_to(s, argv[0], timeout_s, err);
        if (st == ST_OK)
            st = await(pid, timeout_s, argv[0], &exit_status, err);
        if (st != ST_OK) {
            kill(-pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
    }
    for (int i = 0; i < 2; i++)
        close_end(&s[i].pipe[0]);
    *out = (struct tool_answer){exit_status, s[0].text, s[1].text};
    if (st != ST_OK)
        tool_answer_release(out);
    return st;
}

void tool_answer_release(struct tool_answer *answer)
{
    free(answer->out);
    free(answer->said);
    *answer = (struct tool_answer){0};
}

/* The start of the last line that is not empty: the ones before lead up to it. */
static const char *last_line(const char *text)
{
    const char *last = text;

    for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n')
        if (*text != '\n')
            last = text;
    return last;
}

enum status tool_answer_check(const struct tool_answer *answer, const char *name, struct err *err)
{
    const char *words = last_line(answer->said[0] != '\0' ? answer->said : answer->out);
    size_t n = strlen(name);

    if (answer->exit_status == 0)
        return ST_OK;
    if (strncmp(words, name, n) == 0 && strncmp(words + n, ": ", 2) == 0)
        words += n + 2;
    if (words[0] == '\0')
        return err_set(err, ST_IO, "%s: exit status %d without a word", name, answer->exit_status);
    return err_set(err, ST_IO, "%s: %.*s", name, (int)strcspn(words, "\n"), words);
}
