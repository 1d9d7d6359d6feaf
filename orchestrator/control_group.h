/*
 * control_group.h - the groups, v1 or v2, that limit this process.
 *
 * They are looked for where distributions mount them: /sys/fs/cgroup and
 * /sys/fs/cgroup/unified (v2), /sys/fs/cgroup/CONTROLLER (v1). The process's own group comes first, then
 * each above it up to the mount's top: all of them limit. Inside a container
 * the path in /proc/self/cgroup may be the host's, and its top is then ours.
 */
#ifndef ORCHESTRATOR_CONTROL_GROUP_H
#define ORCHESTRATOR_CONTROL_GROUP_H

#include <stdbool.h>

/* Called with the folder of a group, below `root` and without a slash at its end. */
typedef void control_group_visit(void *self, const char *root, const char *folder);

/* Every group of the v2 tree, and of the v1 tree of `controller` ("memory", "cpu"). */
void control_group_each(const char *root, const char *controller, control_group_visit *visit,
                        void *self);

#endif
