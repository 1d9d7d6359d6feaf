#include "orchestrator/doctor_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/mem.h"
#include "orchestrator/control_group.h"
#include "orchestrator/system_file.h"

static void read_nodes(struct doctor_facts *f, const char *root)
{
    char path[64], key[32];

    for (uint32_t i = 0; i < DOCTOR_MAX_NODES; i++) {
        struct doctor_node node = {.number = i};
        snprintf(path, sizeof path, "sys/devices/system/node/node%u/meminfo", i);
        snprintf(key, sizeof key, "Node %u MemTotal", i);
        if (!system_file_bytes(root, path, key, &node.total_bytes))
            continue;
        snprintf(key, sizeof key, "Node %u MemFree", i);
        (void)system_file_bytes(root, path, key, &node.free_bytes);
        f->node[f->n_nodes++] = node;
    }
}

static void read_huge(struct doctor_facts *f, const char *root)
{
    (void)system_file_choice(root, "sys/kernel/mm/transparent_hugepage/enabled", f->huge,
                             sizeof f->huge);
    (void)system_file_choice(root, "sys/kernel/mm/transparent_hugepage/shmem_enabled",
                             f->huge_shared, sizeof f->huge_shared);
    (void)system_file_bytes(root, "proc/meminfo", "HugePages_Total", &f->huge_reserved);
}

static void take_quota(struct doctor_facts *f, double quota, double period)
{
    if (quota > 0 && period > 0 && (f->cpu_quota == 0 || quota / period < f->cpu_quota))
        f->cpu_quota = quota / period;
}

/* v2: "50000 100000" or "max 100000"; v1: two files, the quota -1 for none. */
static void take_group(void *self, const char *root, const char *folder)
{
    char *v2 = mem_printf("%s/cpu.max", folder), line[64], *end;
    char *quota = mem_printf("%s/cpu.cfs_quota_us", folder);
    char *period = mem_printf("%s/cpu.cfs_period_us", folder);
    uint64_t us, of_us;

    if (system_file_line(root, v2, line, sizeof line)) {
        double allowed = strtod(line, &end);
        take_quota(self, allowed, strtod(end, NULL));
    } else if (system_file_number(root, quota, &us) && system_file_number(root, period, &of_us)) {
        take_quota(self, (double)us, (double)of_us);
    }
    free(v2);
    free(quota);
    free(period);
}

void doctor_facts_read(struct doctor_facts *out, const char *root)
{
    *out = (struct doctor_facts){.memlock_bytes = UINT64_MAX, .memfd = true};
    machine_read(&out->machine, root);
    memory_room_read(&out->room, root);
    read_nodes(out, root);
    read_huge(out, root);
    control_group_each(root, "cpu", take_group, out);
    doctor_gpu_driver(out->driver, sizeof out->driver, root);
    out->n_gpus = doctor_gpu_read(out->gpu, DOCTOR_MAX_GPUS, root);
}

void doctor_facts_ask(struct doctor_facts *out)
{
    int fd = memfd_create("mspeckv", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct rlimit lock;
    char program[512];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

    doctor_facts_read(out, "");
    if (n > 0) {
        program[n] = '\0';
        doctor_backend_ask(&out->backend, program);
    }
    memory_room_ask(&out->room);
    if (getrlimit(RLIMIT_MEMLOCK, &lock) == 0 && lock.rlim_cur != RLIM_INFINITY)
        out->memlock_bytes = lock.rlim_cur;
    out->memfd = fd >= 0;
    if (fd >= 0)
        close(fd);
}

void doctor_facts_measure(struct doctor_facts *f, const char *device, uint32_t n_threads)
{
    struct doctor_device *d = &f->device[f->n_devices];
    struct err err = {{0}};
    enum status st;

    for (uint32_t i = 0; i < f->n_devices; i++)
        if (strcmp(f->device[i].name, device) == 0)
            return;
    CHECK(f->n_devices < DOCTOR_MAX_DEVICES);
    f->n_devices++;
    snprintf(d->name, sizeof d->name, "%s", device);
    st = doctor_speed_measure(&d->speed, device, n_threads, &err);
    d->is_usable = st == ST_OK;
    d->is_asked = st == ST_OK || st == ST_DEVICE;
    snprintf(d->why, sizeof d->why, "%.*s", (int)sizeof d->why - 1, err.text);
}
