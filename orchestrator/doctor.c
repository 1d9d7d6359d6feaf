#include "orchestrator/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/heading.h"

/* Below this /dev/shm holds no useful arena: containers have 64 MiB by default. */
static const uint64_t SMALL_SHM_BYTES = UINT64_C(1) << 30;
/* A device that pins the arena needs at least such a piece of it locked. */
static const uint64_t SMALL_LOCK_BYTES = UINT64_C(1) << 30;

/* The first driver that serves CUDA 13 (release notes of the toolkit). */
enum { LEAST_DRIVER = 580 };

enum { SIZE_WORDS = 32 };

static const char *size_words(uint64_t bytes, char buf[SIZE_WORDS])
{
    if (bytes == UINT64_MAX)
        return "unknown";
    heading_bytes((double)bytes, buf, SIZE_WORDS);
    return buf;
}

/* ---- processors ---- */

static void say_cpu(struct doctor_list *list, const struct doctor_facts *f)
{
    const struct machine *m = &f->machine;
    bool vectors =
        machine_has_flag(m, "avx2") && machine_has_flag(m, "fma") && machine_has_flag(m, "f16c");

    doctor_list_add(list, vectors ? DOCTOR_OK : DOCTOR_NOTE, "cpu",
                    vectors ? NULL : "a CPU with avx2, fma and f16c decodes several times faster",
                    "%s, %u CPU%s; kernels: %s", m->cpu_model, m->n_cpus, m->n_cpus == 1 ? "" : "s",
                    vectors ? "avx2 fma f16c" : "portable");
    if (f->cpu_quota > 0 && f->cpu_quota < m->n_cpus)
        doctor_list_add(list, DOCTOR_NOTE, "cpu quota",
                        "threads: the CPUs that are allowed, rounded up; more only wait",
                        "a control group allows %.2g of them", f->cpu_quota);
}

static void say_nodes(struct doctor_list *list, const struct doctor_facts *f)
{
    char text[256], size[SIZE_WORDS];
    size_t n;

    if (f->n_nodes == 0) {
        doctor_list_add(list, DOCTOR_NOTE, "NUMA", NULL, "the kernel does not say");
        return;
    }
    n = (size_t)snprintf(text, sizeof text, "%u node%s:", f->n_nodes, f->n_nodes == 1 ? "" : "s");
    for (uint32_t i = 0; i < f->n_nodes && i < 6; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %u with %s", i > 0 ? "," : "",
                              f->node[i].number, size_words(f->node[i].total_bytes, size));
    if (f->n_nodes > 6)
        snprintf(text + n, sizeof text - n, ", ...");
    doctor_list_add(list, f->n_nodes == 1 ? DOCTOR_OK : DOCTOR_NOTE, "NUMA",
                    f->n_nodes == 1 ? NULL : "numa_node: N keeps the arena on one of them", "%s",
                    text);
}

/* ---- memory ---- */

static void say_memory(struct doctor_list *list, const struct doctor_facts *f)
{
    const struct memory_room *room = &f->room;
    char available[SIZE_WORDS], total[SIZE_WORDS], left[SIZE_WORDS], limit[SIZE_WORDS];

    if (room->available_bytes == UINT64_MAX)
        doctor_list_add(list, DOCTOR_NOTE, "memory", NULL, "the kernel does not say");
    else
        doctor_list_add(list, DOCTOR_OK, "memory", NULL, "%s available of %s",
                        size_words(room->available_bytes, available),
                        size_words(room->total_bytes, total));
    if (room->limit_bytes == UINT64_MAX)
        return;
    doctor_list_add(list, DOCTOR_NOTE, "cgroup",
                    room->limit_free_bytes < room->available_bytes
                        ? "a higher memory limit of the container or job"
                        : NULL,
                    "%s left of the control group's %s", size_words(room->limit_free_bytes, left),
                    size_words(room->limit_bytes, limit));
}

static void say_huge(struct doctor_list *list, const struct doctor_facts *f)
{
    bool shared = f->huge_shared[0] != '\0' && strcmp(f->huge_shared, "never") != 0 &&
                  strcmp(f->huge_shared, "deny") != 0;

    if (f->huge[0] == '\0') {
        doctor_list_add(list, DOCTOR_NOTE, "huge pages", NULL, "the kernel does not say");
        return;
    }
    doctor_list_add(list, shared ? DOCTOR_OK : DOCTOR_NOTE, "huge pages",
                    shared ? NULL : "as root: advise into transparent_hugepage/shmem_enabled",
                    "%s, shared memory %s; %llu reserved", f->huge,
                    f->huge_shared[0] != '\0' ? f->huge_shared : "unknown",
                    (unsigned long long)f->huge_reserved);
}

static void say_shared(struct doctor_list *list, const struct doctor_facts *f)
{
    const struct memory_room *room = &f->room;
    const char *memfd = f->memfd ? "memfd allowed" : "memfd forbidden";
    bool small = !room->has_shm || room->shm_free_bytes < SMALL_SHM_BYTES;
    const char *remedy = !small     ? NULL
                         : f->memfd ? "arena: memfd, or a larger /dev/shm (docker: --shm-size)"
                                    : "a larger /dev/shm (docker: --shm-size)";
    char left[SIZE_WORDS], size[SIZE_WORDS];

    if (!room->has_shm)
        doctor_list_add(list, DOCTOR_NOTE, "/dev/shm", remedy, "absent; %s", memfd);
    else
        doctor_list_add(list, small ? DOCTOR_NOTE : DOCTOR_OK, "/dev/shm", remedy,
                        "%s free of %s; %s", size_words(room->shm_free_bytes, left),
                        size_words(room->shm_bytes, size), memfd);
}

static void say_lock(struct doctor_list *list, const struct doctor_facts *f)
{
    bool small = f->n_gpus > 0 && f->memlock_bytes < SMALL_LOCK_BYTES;
    char size[SIZE_WORDS];

    doctor_list_add(
        list, small ? DOCTOR_NOTE : DOCTOR_OK, "memlock",
        small ? "ulimit -l unlimited (docker: --ulimit memlock=-1)" : NULL, "%s may be locked%s",
        f->memlock_bytes == UINT64_MAX ? "any amount" : size_words(f->memlock_bytes, size),
        f->n_gpus > 0 ? "" : "; the cpu device locks none");
}

/* ---- devices ---- */

static bool same_kind(const struct doctor_gpu *a, const struct doctor_gpu *b)
{
    return strcmp(a->model, b->model) == 0 && a->width == b->width &&
           a->max_width == b->max_width && a->max_speed_gt == b->max_speed_gt;
}

static int generation(double speed_gt)
{
    static const double fastest[] = {2.5, 5, 8, 16, 32, 64};
    int i = 0;

    while (i < 5 && speed_gt > fastest[i])
        i++;
    return i + 1;
}

/* "PCIe 4 x8 of x16 (15.8 of 31.5 GB/s)" */
static void link_words(const struct doctor_gpu *gpu, char *buf, size_t size)
{
    double now = doctor_gpu_link_gbps(gpu, gpu->width);

    if (gpu->width == 0 || now == 0)
        snprintf(buf, size, "link unknown");
    else if (gpu->width < gpu->max_width)
        snprintf(buf, size, "PCIe %d x%u of x%u (%.1f of %.1f GB/s)", generation(gpu->max_speed_gt),
                 gpu->width, gpu->max_width, now, doctor_gpu_link_gbps(gpu, gpu->max_width));
    else
        snprintf(buf, size, "PCIe %d x%u (%.1f GB/s)", generation(gpu->max_speed_gt), gpu->width,
                 now);
}

/* All GPUs like `first` in one line. */
static void say_kind(struct doctor_list *list, const struct doctor_facts *f, uint32_t first)
{
    const struct doctor_gpu *gpu = &f->gpu[first];
    bool narrow = gpu->width > 0 && gpu->width < gpu->max_width;
    bool driven = f->driver[0] != '\0';
    bool old = driven && strtod(f->driver, NULL) > 0 && strtod(f->driver, NULL) < LEAST_DRIVER;
    char link[80], nodes[96] = "";
    uint32_t n_same = 0;
    size_t n = 0;

    for (uint32_t i = first; i < f->n_gpus; i++) {
        if (!same_kind(gpu, &f->gpu[i]))
            continue;
        n_same++;
        if (f->gpu[i].node >= 0)
            n += (size_t)snprintf(nodes + n, sizeof nodes - n, "%s%d",
                                  n == 0 ? ", NUMA node " : " ", f->gpu[i].node);
    }
    link_words(gpu, link, sizeof link);
    doctor_list_add(list, narrow || old || !driven ? DOCTOR_NOTE : DOCTOR_OK, "GPU",
                    !driven  ? "install NVIDIA's driver, 580 or newer"
                    : old    ? "driver 580 or newer: CUDA 13 needs it"
                    : narrow ? "a slot of full width, or a reseated card or riser"
                             : NULL,
                    "%u x %s, %s%s, %s%s", n_same,
                    gpu->model[0] != '\0' ? gpu->model : gpu->address,
                    driven ? "driver " : "no driver", f->driver, link, nodes);
}

static void say_gpus(struct doctor_list *list, const struct doctor_facts *f)
{
    if (f->n_gpus == 0)
        doctor_list_add(list, DOCTOR_OK, "GPU", NULL, "none; the device is cpu:0");
    for (uint32_t i = 0; i < f->n_gpus; i++) {
        uint32_t before = 0;
        while (before < i && !same_kind(&f->gpu[before], &f->gpu[i]))
            before++;
        if (before == i)
            say_kind(list, f, i);
    }
}

/* A machine without a GPU needs none. */
static void say_backend(struct doctor_list *list, const struct doctor_facts *f)
{
    const struct doctor_backend *b = &f->backend;

    if (b->path[0] == '\0')
        return;
    if (!b->is_there)
        doctor_list_add(list, f->n_gpus > 0 ? DOCTOR_NOTE : DOCTOR_OK, "backend",
                        f->n_gpus > 0 ? "build where nvcc of CUDA 13 is, or take a whole bundle"
                                      : NULL,
                        "no CUDA: %s is not there", b->path);
    else if (b->lacks[0] != '\0')
        doctor_list_add(list, DOCTOR_NOTE, "backend",
                        "the CUDA 13 toolkit's libraries in /usr/local/cuda/lib64",
                        "CUDA does not load: %s", b->lacks);
    else
        doctor_list_add(list, DOCTOR_OK, "backend", NULL, "CUDA loads: %s", b->path);
}

static void say_devices(struct doctor_list *list, const struct doctor_facts *f)
{
    for (uint32_t i = 0; i < f->n_devices; i++) {
        const struct doctor_device *d = &f->device[i];
        if (d->is_usable)
            doctor_list_add(list, DOCTOR_OK, "bandwidth", NULL, "%.2f GB/s read by %s",
                            d->speed.read_gbps, d->speed.device);
        else
            doctor_list_add(list, DOCTOR_NOTE, d->is_asked ? "device" : "bandwidth", NULL, "%s",
                            d->why);
    }
}

void doctor_machine(struct doctor_list *list, const struct doctor_facts *f)
{
    say_cpu(list, f);
    say_nodes(list, f);
    say_memory(list, f);
    say_huge(list, f);
    say_shared(list, f);
    say_lock(list, f);
    say_gpus(list, f);
    say_backend(list, f);
    say_devices(list, f);
}
