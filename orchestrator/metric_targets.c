#include "orchestrator/metric_targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/whole_file.h"
#include "metrics/metric_server.h"
#include "orchestrator/study_place.h"

enum { LOG_BYTES = 64 << 20 };

static const char *const member_names[GROUP_MEMBERS] = {"kvstore", "verify", "draft"};

static void add(json_t *list, const char *address, const char *process, const char *place)
{
    json_t *one = json_pack("{s:[s], s:{s:s, s:s}}", "targets", address, "labels", "process",
                            process, "place", place);

    CHECK(one != NULL && json_array_append_new(list, one) == 0);
    log_info(LOG_PROC, "metrics process=%s place=%s address=%s", process, place, address);
}

/* The newest in the log: a run that goes on appends to it. */
static enum status logged_address(char buf[METRIC_ADDRESS_BYTES], const char *path, struct err *err)
{
    static const char mark[] = "metrics address=";
    const char *last = NULL;
    char *text = NULL;
    size_t n = 0;
    enum status st = whole_file_read(&text, &n, path, LOG_BYTES, err);

    if (st != ST_OK)
        return st;
    for (const char *at = text; (at = strstr(at, mark)) != NULL; at++)
        last = at + strlen(mark);
    if (last != NULL)
        snprintf(buf, METRIC_ADDRESS_BYTES, "%.*s", (int)strcspn(last, " \n"), last);
    else
        st = err_set(err, ST_NOT_FOUND, "%s says no address of its metrics", path);
    free(text);
    return st;
}

static enum status add_place(json_t *list, const struct study_place *p, struct err *err)
{
    const struct group *g = session_group(p->session);
    char number[16], address[METRIC_ADDRESS_BYTES];
    enum status st = ST_OK;

    snprintf(number, sizeof number, "%u", p->index + 1);
    for (int i = 0; st == ST_OK && i < GROUP_MEMBERS; i++) {
        char *path;
        if (group_pid(g, (enum group_member)i) == 0)
            continue;
        path = mem_printf("%s/%s.log", group_log_dir(g), member_names[i]);
        st = logged_address(address, path, err);
        if (st == ST_OK)
            add(list, address, member_names[i], number);
        free(path);
    }
    return st;
}

enum status metric_targets_write(const struct study_run *run, const char *folder, struct err *err)
{
    const struct metric_address own = metric_server_address();
    char address[METRIC_ADDRESS_BYTES], *path, *text;
    json_t *list = json_array();
    enum status st = ST_OK;

    metric_address_text(&own, address);
    add(list, address, "mspeckv", "0");
    for (uint32_t i = 0; st == ST_OK && i < run->n_places; i++)
        st = add_place(list, run->place[i], err);
    path = mem_printf("%s/metrics.json", folder);
    text = json_dumps(list, JSON_INDENT(1));
    CHECK(text != NULL);
    if (st == ST_OK)
        st = whole_file_write(path, text, strlen(text), err);
    free(text);
    free(path);
    json_decref(list);
    return st;
}

enum status metric_targets_no_port(const struct metric_address *own, struct err *err)
{
    return err_set(err, ST_INVALID,
                   "--metrics: behind port %u there are not enough ports for the workers; a lower "
                   "one, or 0 for any, would be right",
                   own->port);
}
