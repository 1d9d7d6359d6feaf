#include "orchestrator/saved_logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "orchestrator/group_spawn.h"

enum { MAX_LOG_BYTES = 64 << 20 };

static bool copy(const char *from, const char *to)
{
    char *bytes = NULL;
    size_t n = 0;
    bool done = whole_file_read(&bytes, &n, from, MAX_LOG_BYTES, NULL) == ST_OK &&
                whole_file_write(to, bytes, n, NULL) == ST_OK;

    free(bytes);
    return done;
}

/* Every `old` in the words becomes `new_dir`. */
static void replace(struct err *err, const char *old, const char *new_dir)
{
    struct err words = {{0}};
    const char *at = err->text, *hit;
    size_t n = 0;

    while (n < sizeof words.text && (hit = strstr(at, old)) != NULL) {
        n += (size_t)snprintf(words.text + n, sizeof words.text - n, "%.*s%s", (int)(hit - at), at,
                              new_dir);
        at = hit + strlen(old);
    }
    if (n < sizeof words.text)
        snprintf(words.text + n, sizeof words.text - n, "%s", at);
    *err = words;
}

void saved_logs_keep(const char *dir, struct err *err)
{
    char kept[] = "/tmp/mspeckv-logs-XXXXXX";
    bool any = false;

    if (mkdtemp(kept) == NULL)
        return;
    for (int i = 0; i < GROUP_MEMBERS; i++) {
        char *from = mem_printf("%s/%s.log", dir, group_names[i]);
        char *to = mem_printf("%s/%s.log", kept, group_names[i]);
        any = copy(from, to) || any;
        free(from);
        free(to);
    }
    if (!any) {
        rmdir(kept);
        return;
    }
    if (strstr(err->text, dir) != NULL) {
        replace(err, dir, kept);
    } else {
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof err->text - n, " (logs: %s)", kept);
    }
}
