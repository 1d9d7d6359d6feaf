/*
 * watch_flags.h - the flags of `mspeckv run` that say what it shows.
 */
#ifndef ORCHESTRATOR_WATCH_FLAGS_H
#define ORCHESTRATOR_WATCH_FLAGS_H

#include "common/args.h"
#include "orchestrator/run_watch.h"

enum { WATCH_FLAGS = 2 };

/* Begins zeroed. */
struct watch_flags {
    bool quiet, has_json;
    int64_t json_fd;
};

/* Fills spec[0 .. WATCH_FLAGS - 1]; `f` is borrowed while they are parsed. */
void watch_flags_list(struct watch_flags *f, struct arg_spec *spec);
/* Sets mode, streams and events of `w`; event_stream_close(w->events) is the
 * caller's in any case. ST_INVALID: a descriptor that is not open. */
enum status watch_flags_use(const struct watch_flags *f, struct run_watch *w, struct err *err);

#endif
