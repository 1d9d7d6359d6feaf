#include "orchestrator/trace_merge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "orchestrator/trace_flow.h"
#include "orchestrator/trace_json.h"

static enum status write_file(const char *path, const struct trace_set *set, struct err *err)
{
    char *beside = mem_printf("%s.tmp", path);
    FILE *to = fopen(beside, "we");
    enum status st = ST_OK;
    bool failed;

    if (to == NULL) {
        st = err_set(err, ST_IO, "open %s: %s", beside, strerror(errno));
        free(beside);
        return st;
    }
    trace_json_write(to, set);
    failed = ferror(to) != 0;
    if (fclose(to) != 0 || failed)
        st = err_set(err, ST_IO, "write %s: %s", beside, strerror(errno));
    if (st == ST_OK && rename(beside, path) != 0)
        st = err_set(err, ST_IO, "rename %s: %s", beside, strerror(errno));
    if (st != ST_OK)
        unlink(beside);
    free(beside);
    return st;
}

/* "81234 events of 4 processes, 12 dropped, 1 file left out" */
static char *describe(const struct trace_set *set)
{
    size_t n_events = 0;

    for (size_t i = 0; i < set->n_sources; i++)
        n_events += set->source[i].file.n_events;
    if (set->n_dropped == 0 && set->n_left_out == 0)
        return mem_printf("%zu events of %zu processes", n_events, set->n_sources);
    return mem_printf("%zu events of %zu processes; %llu did not fit, %zu files are left out "
                      "(otherData says which)",
                      n_events, set->n_sources, (unsigned long long)set->n_dropped,
                      set->n_left_out);
}

enum status trace_merge(const char *path, const char *log_dir, char **said, struct err *err)
{
    struct trace_set set;
    enum status st = trace_folder_read(&set, log_dir, err);

    for (size_t i = 0; i < set.n_left_out; i++)
        log_warn(LOG_RUN, "trace: left out: %s", set.left_out[i]);
    if (st == ST_OK) {
        trace_flow_find(&set);
        st = write_file(path, &set, err);
    }
    if (st == ST_OK && said != NULL)
        *said = describe(&set);
    trace_set_release(&set);
    return st;
}
