/*
 * trace_message.h - messages in the trace: the same number at both ends, from
 * what both know, so that nothing of it travels.
 */
#ifndef COMMON_TRACE_MESSAGE_H
#define COMMON_TRACE_MESSAGE_H

#include "common/msg.h"
#include "common/trace.h"

/* The channel: its socket's path and the name of its client ("" for a pair). */
struct trace_route {
    const char *path, *client;
};

/* TRACE_SEND or TRACE_RECEIVE of `msg`, from begin_ns to now. Messages of one
 * verb, request, trial and round have one number; they come in the order in which
 * they were sent. */
void trace_message(enum trace_kind kind, uint64_t begin_ns, const struct msg *msg,
                   const struct trace_route *route);

#endif
