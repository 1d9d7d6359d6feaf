#include "orchestrator/watch_flags.h"

#include <unistd.h>

void watch_flags_list(struct watch_flags *f, struct arg_spec *spec)
{
    spec[0] = (struct arg_spec){.name = "quiet",
                                .kind = ARG_FLAG,
                                .out = &f->quiet,
                                .help = "show nothing while it runs but deaths and errors"};
    spec[1] = (struct arg_spec){.name = "json-progress",
                                .kind = ARG_INT,
                                .out = &f->json_fd,
                                .given = &f->has_json,
                                .min = 1,
                                .max = 1023,
                                .value = "FD",
                                .help = "events as JSON Lines; 1: stdout, the rest on stderr"};
}

enum status watch_flags_use(const struct watch_flags *f, struct run_watch *w, struct err *err)
{
    enum status st = ST_OK;

    if (f->has_json)
        st = event_stream_open(&w->events, (int)f->json_fd, err);
    if (st != ST_OK)
        return err_in(err, st, "--json-progress");
    w->to = stderr;
    w->results = f->quiet ? NULL : stdout;
    w->mode = f->quiet ? WATCH_QUIET : isatty(STDERR_FILENO) ? WATCH_VIEW : WATCH_LINES;
    return ST_OK;
}
