#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    int fd;
    enum log_level level;
    char name[32];
} log_state = {STDERR_FILENO, LOG_WARN, "mspeckv"};

enum status log_open(const char *name, const char *path, enum log_level level, struct err *err)
{
    snprintf(log_state.name, sizeof log_state.name, "%s", name);
    log_state.level = level;
    if (path == NULL)
        return ST_OK;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ST_IO, "open log %s: %s", path, strerror(errno));
    log_close();
    log_state.fd = fd;
    return ST_OK;
}

void log_close(void)
{
    if (log_state.fd > STDERR_FILENO)
        close(log_state.fd);
    log_state.fd = STDERR_FILENO;
}

bool log_is_on(enum log_level level)
{
    return level <= log_state.level;
}

void log_line(enum log_level level, const char *subsystem, const char *fmt, ...)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};
    char line[1024];
    struct timespec now;
    struct tm tm;
    va_list ap;
    int n;

    if (!log_is_on(level))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    n = snprintf(line, sizeof line, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %s[%d] %s ",
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 now.tv_nsec / 1000000, words[level], log_state.name, (int)getpid(), subsystem);
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof line)
        n = (int)sizeof line - 1;
    for (int i = 0; i < n; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?'; /* foreign words must not forge a line */
    }
    line[n < (int)sizeof line - 1 ? n : (int)sizeof line - 2] = '\n';
    n = n < (int)sizeof line - 1 ? n + 1 : (int)sizeof line - 1;
    if (write(log_state.fd, line, (size_t)n) < 0)
        return; /* a full disk must not stop the run: the log is not the result */
}
