/*
 * trace.h - what this process did when: spans, totals and messages, into the
 * file of trace_file.h. The files of all processes make one timeline
 * (orchestrator/trace_merge.h).
 *
 * Off, which is the rule, a trace point costs one branch. On, it costs two looks
 * at the clock and one event; it never waits, allocates or calls the system.
 * Any thread may put events. A full file drops what comes and counts it.
 */
#ifndef COMMON_TRACE_H
#define COMMON_TRACE_H

#include "common/clock.h"
#include "common/trace_file.h"

extern bool trace_is_on; /* set by trace_open and trace_close only */

/* Makes `path`, which must not exist, and goes on. `process` and the calling
 * thread's name are the same word. `path` NULL: stays off. Room for all events is
 * taken at once (32 MiB, given back at the end), so that a full disk is an error
 * here and not later. */
enum status trace_open(const char *process, const char *path, struct err *err);
/* No other thread puts events any more. Fine when it is off. */
void trace_close(void);

/* The name of the calling thread in the timeline; else "thread N". */
void trace_thread(const char *name);

/* Who also wants to know of spans of the thread that opened the trace, begin and
 * end alike (a device's profiler); NULL: nobody. `self` is borrowed until the next
 * call. */
void trace_watch(void (*begin)(void *self, const char *name), void (*end)(void *self), void *self);

/* When something began; 0: the trace is off, and what is 0 is not put. */
static inline uint64_t trace_now(void)
{
    return trace_is_on ? clock_now_ns() : 0;
}

void trace_put(enum trace_kind kind, uint32_t name, uint64_t begin_ns, uint64_t value,
               uint32_t detail);
uint64_t trace_enter(enum trace_name name);
void trace_leave(enum trace_name name, uint64_t begin_ns, uint64_t value, uint32_t detail);

/* A span of the calling thread; spans of a thread lie within each other. Every
 * begin has its end, on failure too. */
static inline uint64_t trace_begin(enum trace_name name)
{
    return trace_is_on ? trace_enter(name) : 0;
}

static inline void trace_end(enum trace_name name, uint64_t begin_ns, uint64_t value,
                             uint32_t detail)
{
    if (begin_ns != 0)
        trace_leave(name, begin_ns, value, detail);
}

/* A running total, as it is now. */
static inline void trace_total(enum trace_name name, uint64_t value)
{
    if (trace_is_on)
        trace_put(TRACE_TOTAL, name, clock_now_ns(), value, 0);
}

#endif
