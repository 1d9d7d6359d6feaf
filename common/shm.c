#include "common/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <numaif.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

enum { ROUND_BYTES = 2 * 1024 * 1024, NAME_TRIES = 64 };
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older headers lack it */
#endif

/* Keeps descriptor 0 out of struct shm, where it would mean "none". */
static int not_zero(int fd)
{
    int moved;

    if (fd != 0)
        return fd;
    moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return moved;
}

/* A file of POSIX shared memory that never has a name, so that not even a kill
 * between two calls leaves one; where the file system cannot do that, a name
 * that exists only from shm_open to shm_unlink. */
static int open_posix(void)
{
    char name[64];
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    for (int i = 0; i < NAME_TRIES && fd < 0; i++) {
        snprintf(name, sizeof name, "/mspeckv-%ld-%d", (long)getpid(), i);
        fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd < 0 && errno != EEXIST)
            return -1;
    }
    if (fd >= 0)
        shm_unlink(name);
    return fd;
}

/* Bytes the kernel could give now: MemAvailable, or a smaller control group
 * limit. UINT64_MAX where neither can be read. */
static uint64_t available_bytes(void)
{
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                         "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    uint64_t least = UINT64_MAX;
    unsigned long long v;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");

    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "MemAvailable: %llu kB", &v) == 1)
            least = v * 1024;
    }
    if (f != NULL)
        fclose(f);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        f = fopen(limits[i], "re");
        if (f != NULL && fscanf(f, "%llu", &v) == 1 && v < least)
            least = v;
        if (f != NULL)
            fclose(f);
    }
    return least;
}

static enum status no_space(enum shm_kind kind, size_t size_bytes, const char *why, struct err *err)
{
    return err_set(err, ST_NO_SPACE, "%.1f MiB of shared memory: %s; %s",
                   (double)size_bytes / 1048576.0, why,
                   kind == SHM_POSIX ? "ask for less, enlarge /dev/shm, or choose the memfd arena"
                                     : "ask for less, or raise the memory limit");
}

static enum status open_file(struct shm *shm, enum shm_kind kind, struct err *err)
{
    if (kind == SHM_POSIX)
        shm->fd = not_zero(open_posix());
    else
        shm->fd = not_zero(memfd_create("mspeckv", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (shm->fd < 0)
        return err_set(err, ST_IO, "%s: %s", kind == SHM_POSIX ? "shm_open" : "memfd_create",
                       strerror(errno));
    if (ftruncate(shm->fd, (off_t)shm->size_bytes) != 0)
        return no_space(kind, shm->size_bytes, strerror(errno), err);
    return ST_OK;
}

static enum status map(struct shm *shm, struct err *err)
{
    void *base = mmap(NULL, shm->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, shm->fd, 0);

    if (base == MAP_FAILED)
        return err_set(err, errno == ENOMEM ? ST_NO_SPACE : ST_IO, "map %zu bytes: %s",
                       shm->size_bytes, strerror(errno));
    shm->base = base;
    return ST_OK;
}

/* The policy of a shared mapping belongs to the file, so that allocation and
 * touches by any process follow it. */
static enum status bind_to_node(struct shm *shm, int node, struct err *err)
{
    unsigned long mask[16] = {0};
    const size_t bits = 8 * sizeof mask[0];

    if (numa_available() < 0)
        return err_set(err, ST_UNSUPPORTED, "bind memory to node %d: no NUMA on this machine",
                       node);
    if (node > numa_max_node() || (size_t)node >= sizeof mask * 8)
        return err_set(err, ST_UNSUPPORTED, "bind memory to node %d: the nodes here are 0 .. %d",
                       node, numa_max_node());
    mask[(size_t)node / bits] = 1ul << ((size_t)node % bits);
    if (mbind(shm->base, shm->size_bytes, MPOL_BIND, mask, sizeof mask * 8, 0) != 0)
        return err_set(err, ST_UNSUPPORTED, "bind memory to node %d: %s", node, strerror(errno));
    return ST_OK;
}

static enum status allocate(const struct shm *shm, enum shm_kind kind, struct err *err)
{
    int rc;

    /* tmpfs would accept more than there is and end in the out-of-memory
     * killer, so the size is compared with what is available first. */
    if (shm->size_bytes > available_bytes())
        return no_space(kind, shm->size_bytes, "more than the memory available", err);
    do {
        rc = posix_fallocate(shm->fd, 0, (off_t)shm->size_bytes);
    } while (rc == EINTR);
    if (rc != 0)
        return no_space(kind, shm->size_bytes, strerror(rc), err);
    if (kind == SHM_MEMFD &&
        fcntl(shm->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return err_set(err, ST_IO, "seal the memfd: %s", strerror(errno));
    return ST_OK;
}

static void touch(struct shm *shm)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (madvise(shm->base, shm->size_bytes, MADV_POPULATE_WRITE) == 0)
        return;
    for (size_t at = 0; at < shm->size_bytes; at += page)
        ((volatile char *)shm->base)[at] = 0;
}

enum status shm_create(struct shm *out, const struct shm_args *args, struct err *err)
{
    struct shm shm = {.fd = -1};
    enum status st;

    if (args->size_bytes == 0 || args->size_bytes > INT64_MAX - ROUND_BYTES)
        return err_set(err, ST_INVALID, "shared memory of %zu bytes", args->size_bytes);
    shm.size_bytes = (args->size_bytes + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
    st = open_file(&shm, args->kind, err);
    if (st == ST_OK)
        st = map(&shm, err);
    if (st == ST_OK && args->numa_node >= 0)
        st = bind_to_node(&shm, args->numa_node, err);
    if (st == ST_OK) {
        /* A wish: where the kernel has no huge pages for shared memory, the
         * ordinary ones serve. */
        madvise(shm.base, shm.size_bytes, MADV_HUGEPAGE);
        st = allocate(&shm, args->kind, err);
    }
    if (st == ST_OK && args->prefault)
        touch(&shm);
    if (st != ST_OK) {
        shm_release(&shm);
        return st;
    }
    *out = shm;
    return ST_OK;
}

enum status shm_attach(struct shm *out, int fd, size_t size_bytes, struct err *err)
{
    struct shm shm = {.fd = not_zero(fd), .size_bytes = size_bytes};
    struct stat file;
    enum status st = ST_OK;

    if (fstat(shm.fd, &file) != 0)
        st = err_set(err, ST_IO, "shared memory: %s", strerror(errno));
    else if (size_bytes == 0 || file.st_size < 0 || (uint64_t)file.st_size < size_bytes)
        st = err_set(err, ST_CORRUPT, "shared memory has %lld bytes where %zu were announced",
                     (long long)file.st_size, size_bytes);
    if (st == ST_OK)
        st = map(&shm, err);
    if (st != ST_OK) {
        shm_release(&shm);
        return st;
    }
    *out = shm;
    return ST_OK;
}

void shm_release(struct shm *shm)
{
    if (shm->base != NULL)
        munmap(shm->base, shm->size_bytes);
    if (shm->fd > 0)
        close(shm->fd);
    *shm = (struct shm){.fd = -1};
}

double shm_node_share(const struct shm *shm, int node, size_t max_pages)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t n_pages = shm->size_bytes / page;
    size_t n = n_pages < max_pages ? n_pages : max_pages;
    size_t n_known = 0, n_here = 0;
    void **address;
    int *where;

    if (n == 0)
        return -1.0;
    address = mem_array(n, sizeof *address);
    where = mem_array(n, sizeof *where);
    for (size_t i = 0; i < n; i++) {
        address[i] = (char *)shm->base + n_pages / n * i * page;
        (void)*(volatile char *)address[i]; /* only mapped pages have a place */
    }
    if (move_pages(0, n, address, NULL, where, 0) == 0) {
        for (size_t i = 0; i < n; i++) {
            n_known += where[i] >= 0;
            n_here += where[i] == node;
        }
    }
    free(where);
    free(address);
    return n_known > 0 ? (double)n_here / (double)n_known : -1.0;
}
