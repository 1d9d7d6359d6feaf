/*
 * shm.h - shared memory without a name that could be left behind.
 *
 * SHM_POSIX: a nameless file in /dev/shm (O_TMPFILE), or shm_open(O_EXCL, 0600)
 * with shm_unlink directly after it where that cannot be had; then
 * posix_fallocate (a full /dev/shm is an error here, not a SIGBUS later).
 * SHM_MEMFD: memfd_create, for containers with a small /dev/shm. Peers get the
 * file descriptor over a door.
 */
#ifndef COMMON_SHM_H
#define COMMON_SHM_H

#include <stddef.h>

#include "common/status.h"

enum shm_kind { SHM_POSIX, SHM_MEMFD };

struct shm {
    int fd; /* -1 when closed */
    void *base;
    size_t size_bytes;
};

struct shm_args {
    enum shm_kind kind;
    size_t size_bytes; /* > 0; rounded up to a multiple of 2 MiB */
    int numa_node;     /* >= 0: bound with mbind before first touch; -1: not bound */
    bool prefault;     /* touch every page now, MADV_POPULATE_WRITE where there is one */
};

/* ST_NO_SPACE when memory or /dev/shm is too small (words name the remedy),
 * ST_UNSUPPORTED when a node was asked for and cannot be had. */
enum status shm_create(struct shm *out, const struct shm_args *args, struct err *err);

/* Maps `fd` (taken, also on error) read-write. ST_CORRUPT if the file is
 * smaller than size_bytes. */
enum status shm_attach(struct shm *out, int fd, size_t size_bytes, struct err *err);

void shm_release(struct shm *shm); /* a zeroed or released shm is fine; fd 0 never occurs */

/* Share of pages that lie on `node`, from move_pages over at most max_pages
 * evenly spaced pages; -1 where the kernel cannot tell. */
double shm_node_share(const struct shm *shm, int node, size_t max_pages);

#endif
