/*
 * memory_room.h - the memory that there is for a run: of the machine, of its
 * control groups, and of /dev/shm.
 */
#ifndef ORCHESTRATOR_MEMORY_ROOM_H
#define ORCHESTRATOR_MEMORY_ROOM_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes; UINT64_MAX where the kernel does not say, or where nothing limits. */
struct memory_room {
    uint64_t total_bytes, available_bytes; /* of the machine */
    uint64_t limit_bytes;                  /* the tightest memory limit of a control group */
    uint64_t limit_free_bytes;             /* what it still allows; file cache counts as free */
    bool has_shm;                          /* /dev/shm is there */
    uint64_t shm_bytes, shm_free_bytes;    /* its size and what is free */
};

/* All but /dev/shm, from the files below `root` (system_file.h). Control groups
 * are looked for where every distribution mounts them: /sys/fs/cgroup (v2),
 * /sys/fs/cgroup/memory (v1). A limit of a group above counts too. */
void memory_room_read(struct memory_room *out, const char *root);
/* All, of this machine. */
void memory_room_ask(struct memory_room *out);

/* What a run may use: the less of the machine's and the control group's. */
uint64_t memory_room_free(const struct memory_room *room);

#endif
