#include "tests/cuda_shim/shim_memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

#include "tests/cuda_shim/shim_device.h"

#define PAGE         ((size_t)4096)
#define ALIGNMENT    ((size_t)256)
#define RANGES_MAX   8192
#define POISON_BYTES ((size_t)4 << 20)

/* An allocation, or a block of another process. */
struct range {
    char *view;     /* what the program sees; closed but for kernels */
    char *back;     /* the same bytes, for copies */
    size_t n_pages; /* without the page after it, which stays closed */
    char *p;        /* in view, so that p + size_bytes is near its end */
    size_t size_bytes;
    int device;
    bool imported;
};

/* One memory file for each GPU, so that other processes can map parts of it. */
struct gpu {
    int fd;
    char *view, *back;
    size_t capacity, used;
};

struct handle {
    uint32_t magic;
    int32_t pid, fd, device;
    uint64_t offset, n_pages, skip, size_bytes;
};
_Static_assert(sizeof(struct handle) <= sizeof(cudaIpcMemHandle_t), "a handle has 64 bytes");

#define HANDLE_MAGIC 0x4d495053u

struct pin {
    const char *p;
    size_t size_bytes;
};

static struct gpu gpus[SHIM_DEVICES_MAX];
static struct range ranges[RANGES_MAX]; /* by address */
static int n_ranges;
static struct pin pins[RANGES_MAX];
static int n_pins;
static int n_opens;

static cudaError_t gpu_open(struct gpu *g)
{
    if (g->capacity)
        return cudaSuccess;
    size_t capacity = shim_device_memory_bytes();
    int fd = memfd_create("cuda shim", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)capacity) != 0)
        return cudaErrorMemoryAllocation;
    g->view = mmap(NULL, capacity, PROT_NONE, MAP_SHARED, fd, 0);
    g->back = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (g->view == MAP_FAILED || g->back == MAP_FAILED) {
        perror("cuda shim: the memory of a GPU");
        abort();
    }
    g->fd = fd;
    g->capacity = capacity;
    return cudaSuccess;
}

static void insert(const struct range *r)
{
    int i = n_ranges;

    if (n_ranges == RANGES_MAX) {
        fprintf(stderr, "cuda shim: more than %d allocations\n", RANGES_MAX);
        abort();
    }
    for (; i > 0 && ranges[i - 1].view > r->view; i--)
        ranges[i] = ranges[i - 1];
    ranges[i] = *r;
    n_ranges++;
}

static void delete (int i)
{
    n_ranges--;
    memmove(&ranges[i], &ranges[i + 1], (size_t)(n_ranges - i) * sizeof ranges[0]);
}

/* The range whose pages hold `p`, or -1. */
static int find(const void *p)
{
    int low = 0, high = n_ranges;

    while (low < high) {
        int mid = (low + high) / 2;
        if ((const char *)p < ranges[mid].view)
            high = mid;
        else
            low = mid + 1;
    }
    if (low == 0 || (const char *)p >= ranges[low - 1].view + ranges[low - 1].n_pages * PAGE)
        return -1;
    return low - 1;
}

/* The lowest gap of a GPU's memory with room for n pages and the closed one. */
static char *find_gap(const struct gpu *g, size_t n_pages)
{
    char *gap = g->view;

    for (int i = 0; i < n_ranges; i++) {
        const struct range *r = &ranges[i];
        if (r->view < g->view || r->view >= g->view + g->capacity)
            continue;
        if ((size_t)(r->view - gap) >= (n_pages + 1) * PAGE)
            return gap;
        gap = r->view + (r->n_pages + 1) * PAGE;
    }
    return (size_t)(g->view + g->capacity - gap) >= (n_pages + 1) * PAGE ? gap : NULL;
}

cudaError_t shim_memory_alloc(int device, size_t size_bytes, void **out)
{
    struct gpu *g = &gpus[device];
    size_t rounded = (size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct range r = {.size_bytes = size_bytes, .device = device};
    cudaError_t error = gpu_open(g);

    if (error != cudaSuccess)
        return error;
    if (rounded < size_bytes || rounded > g->capacity)
        return cudaErrorMemoryAllocation;
    r.n_pages = (rounded + PAGE - 1) / PAGE;
    r.view = find_gap(g, r.n_pages);
    if (!r.view)
        return cudaErrorMemoryAllocation;
    r.back = g->back + (r.view - g->view);
    r.p = r.view + r.n_pages * PAGE - rounded;
    memset(r.back, 0xff, r.n_pages * PAGE < POISON_BYTES ? r.n_pages * PAGE : POISON_BYTES);
    if (n_opens > 0)
        mprotect(r.view, r.n_pages * PAGE, PROT_READ | PROT_WRITE);
    g->used += r.n_pages * PAGE;
    insert(&r);
    *out = r.p;
    return cudaSuccess;
}

cudaError_t shim_memory_free(void *p)
{
    int i = find(p);

    if (i < 0 || ranges[i].p != p || ranges[i].imported)
        return cudaErrorInvalidValue;
    struct range r = ranges[i];
    struct gpu *g = &gpus[r.device];

    mprotect(r.view, r.n_pages * PAGE, PROT_NONE);
    /* The memory goes back, but for what another process still maps. */
    fallocate(g->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, r.view - g->view,
              (off_t)(r.n_pages * PAGE));
    g->used -= r.n_pages * PAGE;
    delete (i);
    return cudaSuccess;
}

size_t shim_memory_used(int device)
{
    return gpus[device].used;
}

void *shim_memory_reach(const void *p, size_t n)
{
    int i = find(p);

    if (i < 0 || (const char *)p < ranges[i].p ||
        (size_t)((const char *)p - ranges[i].p) > ranges[i].size_bytes ||
        n > ranges[i].size_bytes - (size_t)((const char *)p - ranges[i].p))
        return NULL;
    return ranges[i].back + ((const char *)p - ranges[i].view);
}

int shim_memory_device_of(const void *p)
{
    int i = find(p);

    if (i >= 0)
        return ranges[i].device;
    for (int d = 0; d < SHIM_DEVICES_MAX; d++) /* freed, or between allocations */
        if (gpus[d].capacity && (const char *)p >= gpus[d].view &&
            (const char *)p < gpus[d].view + gpus[d].capacity)
            return d;
    return -1;
}

static void protect_all(int how)
{
    for (int i = 0; i < n_ranges; i++)
        if (mprotect(ranges[i].view, ranges[i].n_pages * PAGE, how) != 0) {
            perror("cuda shim: opening the memory of a GPU");
            abort();
        }
}

void shim_memory_open(void)
{
    if (n_opens++ == 0)
        protect_all(PROT_READ | PROT_WRITE);
}

void shim_memory_close(void)
{
    if (--n_opens == 0)
        protect_all(PROT_NONE);
}

/* ---- blocks of other processes ---- */

cudaError_t shim_memory_export(const void *p, cudaIpcMemHandle_t *out)
{
    int i = find(p);
    struct handle h = {.magic = HANDLE_MAGIC, .pid = getpid()};

    if (i < 0 || ranges[i].p != p || ranges[i].imported)
        return cudaErrorInvalidValue;
    const struct gpu *g = &gpus[ranges[i].device];

    h.fd = g->fd;
    h.device = ranges[i].device;
    h.offset = (uint64_t)(ranges[i].view - g->view);
    h.n_pages = ranges[i].n_pages;
    h.skip = (uint64_t)(ranges[i].p - ranges[i].view);
    h.size_bytes = ranges[i].size_bytes;
    memset(out, 0, sizeof *out);
    memcpy(out, &h, sizeof h);
    return cudaSuccess;
}

cudaError_t shim_memory_import(const cudaIpcMemHandle_t *handle, void **out)
{
    struct handle h;
    char path[64];
    struct range r = {.imported = true};

    memcpy(&h, handle, sizeof h);
    if (h.magic != HANDLE_MAGIC || h.device < 0 || h.device >= shim_device_count())
        return cudaErrorInvalidValue;
    if (h.pid == getpid())
        return cudaErrorInvalidDevice; /* a process cannot open its own */
    snprintf(path, sizeof path, "/proc/%d/fd/%d", h.pid, h.fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat st;
    size_t n = (size_t)(h.n_pages * PAGE);

    if (fd < 0)
        return cudaErrorMapBufferObjectFailed;
    if (fstat(fd, &st) != 0 || (uint64_t)st.st_size < h.offset + n) {
        close(fd);
        return cudaErrorMapBufferObjectFailed;
    }
    r.view = mmap(NULL, n, n_opens > 0 ? PROT_READ | PROT_WRITE : PROT_NONE, MAP_SHARED, fd,
                  (off_t)h.offset);
    r.back = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)h.offset);
    close(fd);
    if (r.view == MAP_FAILED || r.back == MAP_FAILED)
        return cudaErrorMapBufferObjectFailed;
    r.n_pages = (size_t)h.n_pages;
    r.p = r.view + h.skip;
    r.size_bytes = (size_t)h.size_bytes;
    r.device = h.device;
    insert(&r);
    *out = r.p;
    return cudaSuccess;
}

cudaError_t shim_memory_drop(void *p)
{
    int i = find(p);

    if (i < 0 || ranges[i].p != p || !ranges[i].imported)
        return cudaErrorInvalidValue;
    munmap(ranges[i].view, ranges[i].n_pages * PAGE);
    munmap(ranges[i].back, ranges[i].n_pages * PAGE);
    delete (i);
    return cudaSuccess;
}

/* ---- pinned host memory ---- */

enum shim_memory_pinned shim_memory_pinned(const void *p, size_t n)
{
    const char *begin = p, *end = begin + n;
    bool touched = false;

    for (int i = 0; i < n_pins; i++) {
        const char *pin_end = pins[i].p + pins[i].size_bytes;
        if (begin >= pins[i].p && end <= pin_end)
            return SHIM_MEMORY_PINNED;
        touched = touched || (begin < pin_end && end > pins[i].p);
    }
    return touched ? SHIM_MEMORY_PARTLY_PINNED : SHIM_MEMORY_PAGEABLE;
}

cudaError_t shim_memory_pin(void *p, size_t size_bytes)
{
    if (!p || size_bytes == 0)
        return cudaErrorInvalidValue;
    if (shim_memory_pinned(p, size_bytes) != SHIM_MEMORY_PAGEABLE)
        return cudaErrorHostMemoryAlreadyRegistered;
    if (n_pins == RANGES_MAX)
        return cudaErrorMemoryAllocation;
    pins[n_pins++] = (struct pin){p, size_bytes};
    return cudaSuccess;
}

cudaError_t shim_memory_unpin(void *p)
{
    for (int i = 0; i < n_pins; i++)
        if (pins[i].p == p) {
            pins[i] = pins[--n_pins];
            return cudaSuccess;
        }
    return cudaErrorHostMemoryNotRegistered;
}
