#include "orchestrator/memory_room.h"

#include <stdlib.h>
#include <sys/statvfs.h>

#include "common/mem.h"
#include "orchestrator/control_group.h"
#include "orchestrator/system_file.h"

/* v1 says "no limit" as the largest multiple of a page. */
static const uint64_t NO_LIMIT_V1 = UINT64_C(1) << 60;

static bool number_in(const char *root, const char *folder, const char *file, uint64_t *out)
{
    char *path = mem_printf("%s/%s", folder, file);
    bool found = system_file_number(root, path, out);

    free(path);
    return found;
}

static uint64_t stat_in(const char *root, const char *folder, const char *key)
{
    char *path = mem_printf("%s/memory.stat", folder);
    uint64_t bytes = 0;

    (void)system_file_bytes(root, path, key, &bytes);
    free(path);
    return bytes;
}

/* A group of either version; "max" is no number and limits nothing. */
static void take_group(void *self, const char *root, const char *folder)
{
    struct memory_room *room = self;
    uint64_t limit, used = 0, cache, left;

    if (number_in(root, folder, "memory.max", &limit)) {
        (void)number_in(root, folder, "memory.current", &used);
        cache = stat_in(root, folder, "inactive_file");
    } else if (number_in(root, folder, "memory.limit_in_bytes", &limit) && limit < NO_LIMIT_V1) {
        (void)number_in(root, folder, "memory.usage_in_bytes", &used);
        cache = stat_in(root, folder, "total_inactive_file");
    } else {
        return;
    }
    used = used > cache ? used - cache : 0;
    left = limit > used ? limit - used : 0;
    room->limit_bytes = limit < room->limit_bytes ? limit : room->limit_bytes;
    room->limit_free_bytes = left < room->limit_free_bytes ? left : room->limit_free_bytes;
}

void memory_room_read(struct memory_room *out, const char *root)
{
    *out = (struct memory_room){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, .has_shm = false};
    (void)system_file_bytes(root, "proc/meminfo", "MemTotal", &out->total_bytes);
    (void)system_file_bytes(root, "proc/meminfo", "MemAvailable", &out->available_bytes);
    control_group_each(root, "memory", take_group, out);
}

void memory_room_ask(struct memory_room *out)
{
    struct statvfs shm;

    memory_room_read(out, "");
    if (statvfs("/dev/shm", &shm) != 0)
        return;
    out->has_shm = true;
    out->shm_bytes = (uint64_t)shm.f_blocks * shm.f_frsize;
    out->shm_free_bytes = (uint64_t)shm.f_bavail * shm.f_frsize;
}

uint64_t memory_room_free(const struct memory_room *room)
{
    return room->available_bytes < room->limit_free_bytes ? room->available_bytes
                                                          : room->limit_free_bytes;
}
