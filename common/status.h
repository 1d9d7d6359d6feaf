/*
 * status.h - how functions report failure: a status, and words in an err.
 *
 * The status says what kind of failure it is and travels in messages; the
 * words say what happened and where. The first function that knows writes the
 * words (err_set), callers put where they were in front of them (err_in).
 */
#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

#include <stdbool.h>

/* Name, then what a user should understand by it. Append only: the numbers
 * travel in messages. */
#define STATUS_LIST(X)                                                                             \
    X(OK, "ok")                                                                                    \
    X(INVALID, "invalid argument or option")                                                       \
    X(NOT_FOUND, "not found")                                                                      \
    X(NO_SPACE, "out of pages or device memory")                                                   \
    X(CORRUPT, "malformed data")                                                                   \
    X(VERSION, "protocol or file version mismatch")                                                \
    X(IO, "system call failed")                                                                    \
    X(DEVICE, "device error")                                                                      \
    X(CLOSED, "peer went away")                                                                    \
    X(TIMEOUT, "no answer in time")                                                                \
    X(STALE, "stale epoch, generation or lease")                                                   \
    X(UNSUPPORTED, "not supported")

enum status {
#define STATUS_ENUM(name, words) ST_##name,
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
        ST_COUNT
};

/* Only text, so that code and words cannot disagree. Zero-initialise it. It is one
 * line: control characters that get into it become '?'. */
struct err {
    char text[512];
};

/* The words of STATUS_LIST; "unknown status" for a number that is not in it. */
const char *status_words(enum status st);

/* Replaces the text and returns `st`, so that `return err_set(...)` works.
 * `err` may be NULL. */
enum status err_set(struct err *err, enum status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "words: " in front of the text and returns `st`. `err` may be NULL. */
enum status err_in(struct err *err, enum status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
