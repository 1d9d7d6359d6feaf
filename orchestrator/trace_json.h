/*
 * trace_json.h - a timeline as Chrome's trace event format, which Perfetto and
 * chrome://tracing read: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
 */
#ifndef ORCHESTRATOR_TRACE_JSON_H
#define ORCHESTRATOR_TRACE_JSON_H

#include <stdio.h>

#include "orchestrator/trace_folder.h"

/* One JSON object. The events of every source stand in the order of their
 * begin, and a span comes before those within it. Numbers of flows are those of
 * trace_flow_find, called before. Failures of `to` are its ferror. */
void trace_json_write(FILE *to, const struct trace_set *set);

#endif
