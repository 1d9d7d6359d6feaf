#include "orchestrator/control_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/system_file.h"

enum { PATH_BYTES = 1024, MAX_HIERARCHIES = 64 };

static const char membership[] = "proc/self/cgroup";

/* True if "cpu,cpuacct:" at `list` names the controller. */
static bool names(const char *list, const char *controller)
{
    size_t n = strlen(controller), end = strcspn(list, ":");

    for (const char *at = list; at < list + end; at += strcspn(at, ",:") + 1)
        if (strncmp(at, controller, n) == 0 && (at[n] == ',' || at[n] == ':'))
            return true;
    return false;
}

/* The group's path in the v1 tree of `controller`. */
static bool find_v1(const char *root, const char *controller, char path[PATH_BYTES])
{
    char number[16], line[PATH_BYTES];

    for (int i = 1; i < MAX_HIERARCHIES; i++) {
        snprintf(number, sizeof number, "%d", i);
        if (!system_file_value(root, membership, number, line, sizeof line) ||
            !names(line, controller))
            continue;
        snprintf(path, PATH_BYTES, "%s", line + strcspn(line, ":") + 1);
        return true;
    }
    return false;
}

/* The group and those above it; a path that leaves the mount has only its top. */
static void climb(const char *root, const char *mount, char *path, control_group_visit *visit,
                  void *self)
{
    if (path[0] != '/' || strstr(path, "..") != NULL)
        path[0] = '\0';
    for (size_t n = strlen(path); n > 0 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
    for (;;) {
        char *folder = mem_printf("%s%s", mount, path), *slash = strrchr(path, '/');
        visit(self, root, folder);
        free(folder);
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

void control_group_each(const char *root, const char *controller, control_group_visit *visit,
                        void *self)
{
    char path[PATH_BYTES], copy[PATH_BYTES], mount[64];

    if (system_file_value(root, membership, "0", path, sizeof path)) {
        memcpy(copy, path, sizeof copy);
        climb(root, "sys/fs/cgroup", path, visit, self);
        climb(root, "sys/fs/cgroup/unified", copy, visit, self);
    }
    if (find_v1(root, controller, path)) {
        snprintf(mount, sizeof mount, "sys/fs/cgroup/%s", controller);
        climb(root, mount, path, visit, self);
    }
}
