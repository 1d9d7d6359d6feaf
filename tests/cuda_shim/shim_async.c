#include "tests/cuda_shim/shim_async.h"

#include <string.h>

#include "tests/cuda_shim/shim_block.h"

#define COPY_BYTES  16
#define PENDING_MAX 64 /* copies of one thread under way */

struct copy {
    void *dst;
    const void *src;
    int group; /* the commit that covers it */
};

struct pending {
    struct copy copy[PENDING_MAX];
    int n, n_groups;
};

static struct pending pending[SHIM_BLOCK_THREADS_MAX];

void shim_async_begin(void)
{
    for (int t = 0; t < SHIM_BLOCK_THREADS_MAX; t++)
        pending[t].n = pending[t].n_groups = 0;
}

void shim_async_copy(void *dst, const void *src, const char *file, int line)
{
    struct pending *p = &pending[shim_block_thread()];

    if (p->n == PENDING_MAX)
        shim_block_fail(file, line, "more than %d asynchronous copies under way", PENDING_MAX);
    p->copy[p->n++] = (struct copy){dst, src, p->n_groups};
}

void shim_async_commit(void)
{
    pending[shim_block_thread()].n_groups++;
}

void shim_async_wait(int n_left)
{
    struct pending *p = &pending[shim_block_thread()];
    int n_kept = 0;

    for (int i = 0; i < p->n; i++) {
        if (p->copy[i].group < p->n_groups - n_left)
            memcpy(p->copy[i].dst, p->copy[i].src, COPY_BYTES);
        else
            p->copy[n_kept++] = p->copy[i];
    }
    p->n = n_kept;
}
