/*
 * log.h - one line per event on stderr (or the process's log file).
 *
 * A line is "time level subsystem words key=value ...", written by one
 * write(2), so lines of several threads and processes never mix. Never log
 * inside a per-token path at the default level.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/status.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Subsystems, as they stand in the line. */
#define LOG_PROC  "proc"
#define LOG_KV    "kv"
#define LOG_MSG   "msg"
#define LOG_MODEL "model"
#define LOG_RUN   "run"

/* Before this call lines go to stderr at LOG_WARN. `path` NULL keeps stderr;
 * otherwise the file is opened for append (0600). `name` is the process's. */
enum status log_open(const char *name, const char *path, enum log_level level, struct err *err);
void log_close(void);
bool log_is_on(enum log_level level);

void log_line(enum log_level level, const char *subsystem, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#define log_error(subsystem, ...) log_line(LOG_ERROR, subsystem, __VA_ARGS__)
#define log_warn(subsystem, ...)  log_line(LOG_WARN, subsystem, __VA_ARGS__)
#define log_info(subsystem, ...)  log_line(LOG_INFO, subsystem, __VA_ARGS__)
#define log_debug(subsystem, ...)                                                                  \
    do {                                                                                           \
        if (log_is_on(LOG_DEBUG))                                                                  \
            log_line(LOG_DEBUG, subsystem, __VA_ARGS__);                                           \
    } while (0)

#endif
