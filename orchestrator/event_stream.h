/*
 * event_stream.h - a run as JSON Lines for other programs, one object per event.
 * FORMATS.md, "Progress events", lists them.
 */
#ifndef ORCHESTRATOR_EVENT_STREAM_H
#define ORCHESTRATOR_EVENT_STREAM_H

#include <stddef.h>

#include "common/status.h"

struct event_stream;

/* `fd` is a descriptor that this process was given, open for writing; children
 * do not get it. 1: what else goes to stdout goes to stderr from now on. ST_INVALID says
 * what is wrong. */
enum status event_stream_open(struct event_stream **out, int fd, struct err *err);
void event_stream_close(struct event_stream *s); /* NULL is fine */

/* `json` is an object of jansson's, which this takes; "event" and "t" (seconds
 * since the stream was opened) are put in front. A reader that has gone away
 * ends the stream and not the run. */
void event_stream_put(struct event_stream *s, const char *event, void *json);

#endif
