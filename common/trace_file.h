/*
 * trace_file.h - the file of one process's trace: a head, then events of 32 bytes.
 *
 * The process maps the file and writes events in place, so a kill loses none that
 * were finished. Little-endian; TRACE_FILE_VERSION covers the layout and the
 * numbers of enum trace_name and enum msg_verb.
 */
#ifndef COMMON_TRACE_FILE_H
#define COMMON_TRACE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

#define TRACE_FILE_MAGIC "MSKVTRCE"

enum {
    TRACE_FILE_VERSION = 1,
    TRACE_MAX_THREADS = 16,
    TRACE_TEXT = 32,
    TRACE_BOOT_TEXT = 40,
    TRACE_CAP_EVENTS = 1 << 20 /* 32 MiB: some ten thousand rounds of a deep model */
};

/* Word, name in the timeline, what `value` and `detail` are (NULL: nothing). Append only. */
#define TRACE_LIST(X)                                                                              \
    /* orchestrator */                                                                             \
    X(START, "start processes", "place", NULL)                                                     \
    X(PROMPT, "prompt", "tokens", "prompt")                                                        \
    X(WARM_UP, "warm-up", "trial", "method")                                                       \
    X(TRIAL, "trial", "trial", "method")                                                           \
    /* verify and draft */                                                                         \
    X(PREFILL, "prefill", "tokens", "prompt")                                                      \
    X(CHUNK, "prefill chunk", "position", "rows")                                                  \
    X(SNAPSHOT, "snapshot", "bytes", NULL)                                                         \
    X(SET_UP, "set up", "trial", "method")                                                         \
    X(ROUND, "round", "round", "accepted")                                                         \
    X(AWAIT, "wait for proposal", "round", NULL)                                                   \
    X(PASS, "verify pass", "position", "rows")                                                     \
    X(LAYER, "layer", "layer", "rows")                                                             \
    X(JUDGE, "judge", "proposed", "accepted")                                                      \
    X(SETTLE, "settle", "position", "tokens")                                                      \
    X(COPY, "copy", "bytes", NULL)                                                                 \
    X(COPY_WAIT, "wait for copy", "bytes", "layer")                                                \
    X(PROPOSE, "propose", "position", "tokens")                                                    \
    X(DRAFT_STEP, "draft step", "position", NULL)                                                  \
    X(MIDDLE_STEP, "middle step", "position", "rows")                                              \
    /* store */                                                                                    \
    X(SERVE, "serve", "request", "verb")                                                           \
    /* counters: running totals */                                                                 \
    X(N_ACCEPTED, "accepted", "tokens", NULL)                                                      \
    X(N_LINK_BYTES, "over the link", "bytes", NULL)

enum trace_name {
#define TRACE_ENUM(word, text, value, detail) TRACE_##word,
    TRACE_LIST(TRACE_ENUM)
#undef TRACE_ENUM
        TRACE_NAME_COUNT
};

struct trace_words {
    const char *text, *value, *detail;
};
const struct trace_words *trace_words(enum trace_name name);

enum trace_kind {
    TRACE_UNFINISHED, /* a place that was taken and not filled */
    TRACE_SPAN,       /* name: enum trace_name */
    TRACE_TOTAL,      /* the same; begin_ns is when, end_ns equal to it */
    TRACE_SEND,       /* name: enum msg_verb; value: equal at both ends (trace_message.h) */
    TRACE_RECEIVE,    /* the same */
    TRACE_KIND_COUNT
};

struct trace_event {
    uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC: one clock for all processes of a boot */
    uint64_t value;
    uint32_t detail;
    uint16_t name;
    uint8_t kind;
    uint8_t thread; /* index in trace_head.thread */
};

struct trace_head {
    char magic[8];
    uint32_t version, event_bytes;
    uint64_t cap_events;
    uint64_t n_events; /* put so far; those beyond cap_events were dropped */
    uint32_t pid, n_threads;
    char process[TRACE_TEXT];
    char boot[TRACE_BOOT_TEXT]; /* the kernel's boot id, under which begin_ns counts */
    char thread[TRACE_MAX_THREADS][TRACE_TEXT];
};

/* The text of this boot's id; empty where the kernel gives none. */
void trace_file_boot(char boot[TRACE_BOOT_TEXT]);

/* A file read back; its process may have ended in any way, or still write. */
struct trace_file {
    struct trace_head head;
    struct trace_event *event; /* [n_events], finished ones, in the order they were put; owned */
    size_t n_events;
    uint64_t n_dropped; /* put when the file was full */
};

/* ST_NOT_FOUND, ST_IO; ST_CORRUPT, ST_VERSION: what is wrong and where.
 * trace_file_release in any case. */
enum status trace_file_read(struct trace_file *out, const char *path, struct err *err);
void trace_file_release(struct trace_file *f); /* zeroed is fine */

#endif
