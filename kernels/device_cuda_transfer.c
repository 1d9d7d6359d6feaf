/*
 * Copies in order with operations. Memory that is not registered goes through
 * pinned buffers in pieces: while one is on its way the next is filled, by
 * several threads where there is much, since one thread fills slower than a
 * PCIe 5 link carries.
 */
#include <string.h>

#include "common/mem.h"
#include "kernels/device_cuda_state.h"

#define BOUNCE_BYTES ((size_t)8 << 20)
#define FILL_BYTES   ((size_t)512 << 10) /* a thread's share of a piece */
#define MANY_BYTES   ((size_t)64 << 20)  /* from here on threads pay */
enum { FILL_THREADS = 8 };

static enum status open_bounce(struct cuda_bounce *bounce, struct err *err)
{
    void *p = NULL;
    cudaError_t e = cudaHostAlloc(&p, BOUNCE_BYTES, cudaHostAllocDefault);

    if (e != cudaSuccess)
        return device_cuda_refused(e, "allocating pinned host memory", err);
    bounce->p = p;
    e = cudaEventCreateWithFlags(&bounce->event, cudaEventDisableTiming);
    if (e != cudaSuccess)
        return device_cuda_refused(e, "creating an event", err);
    return ST_OK;
}

static void close_bounce(struct cuda_bounce *bounce)
{
    if (bounce->event != NULL)
        cudaEventDestroy(bounce->event);
    cudaFreeHost(bounce->p);
}

enum status device_cuda_transfer_open(struct device_cuda *cuda, struct err *err)
{
    enum status st = ST_OK;

    for (int i = 0; st == ST_OK && i < CUDA_BOUNCES; i++)
        st = open_bounce(&cuda->up[i], err);
    for (int i = 0; st == ST_OK && i < 2; i++)
        st = open_bounce(&cuda->down[i], err);
    return st;
}

void device_cuda_transfer_close(struct device_cuda *cuda)
{
    for (int i = 0; i < CUDA_BOUNCES; i++)
        close_bounce(&cuda->up[i]);
    for (int i = 0; i < 2; i++)
        close_bounce(&cuda->down[i]);
    pool_close(cuda->pool);
}

struct fill_job {
    unsigned char *dst;
    const unsigned char *src;
    size_t n;
};

static void fill_task(void *arg, int task, int thread)
{
    const struct fill_job *job = arg;
    size_t at = (size_t)task * FILL_BYTES;

    memcpy(job->dst + at, job->src + at, job->n - at < FILL_BYTES ? job->n - at : FILL_BYTES);
}

static void fill(struct device_cuda *cuda, bool with_threads, struct fill_job job)
{
    if (with_threads)
        pool_run(cuda->pool, (int)((job.n + FILL_BYTES - 1) / FILL_BYTES), fill_task, &job);
    else
        memcpy(job.dst, job.src, job.n);
}

static enum status wait_event(struct device_cuda *cuda, cudaEvent_t event, struct err *err)
{
    cudaError_t e = cudaEventSynchronize(event);

    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "running operations", err);
    return ST_OK;
}

static enum status copy(struct device_cuda *cuda, void *dst, const void *src, size_t n,
                        struct err *err)
{
    cudaError_t e = cudaMemcpyAsync(dst, src, n, cudaMemcpyDefault, cuda->compute);

    cuda->work++;
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "copying", err);
    return ST_OK;
}

static enum status record(struct device_cuda *cuda, struct cuda_bounce *bounce, struct err *err)
{
    cudaError_t e = cudaEventRecord(bounce->event, cuda->compute);

    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "copying", err);
    return ST_OK;
}

static enum status upload_by_pieces(struct device_cuda *cuda, unsigned char *dst,
                                    const unsigned char *src, size_t n, struct err *err)
{
    bool with_threads = n >= MANY_BYTES && cuda->n_threads > 1;
    enum status st = ST_OK;

    if (with_threads && cuda->pool == NULL)
        st = pool_open(&cuda->pool, cuda->n_threads < FILL_THREADS ? cuda->n_threads : FILL_THREADS,
                       NULL, err);
    for (size_t at = 0; st == ST_OK && at < n; at += BOUNCE_BYTES) {
        struct cuda_bounce *bounce = &cuda->up[cuda->next_up];
        size_t piece = n - at < BOUNCE_BYTES ? n - at : BOUNCE_BYTES;

        cuda->next_up = (cuda->next_up + 1) % CUDA_BOUNCES;
        st = wait_event(cuda, bounce->event, err);
        if (st != ST_OK)
            break;
        fill(cuda, with_threads, (struct fill_job){bounce->p, src + at, piece});
        st = copy(cuda, dst + at, bounce->p, piece, err);
        if (st == ST_OK)
            st = record(cuda, bounce, err);
    }
    return st;
}

static bool is_device_memory(const struct device *dev, const void *p)
{
    for (size_t i = dev->n_blocks; i > 0; i--) {
        const struct device_block *b = &dev->block[i - 1];
        if ((const char *)p >= (const char *)b->p &&
            (size_t)((const char *)p - (const char *)b->p) < b->size_bytes)
            return true;
    }
    return false;
}

static enum status wait_compute(struct device_cuda *cuda, struct err *err)
{
    cudaError_t e = cudaStreamSynchronize(cuda->compute);

    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "running operations", err);
    return device_cuda_queue_collect(cuda, err);
}

enum status device_cuda_upload(struct device *dev, void *dst, const void *src, size_t n,
                               struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    enum status st;

    if (n == 0)
        return ST_OK;
    st = device_cuda_submit(dev, err);
    if (st != ST_OK)
        return st;
    if (is_device_memory(dev, src))
        return copy(cuda, dst, src, n, err);
    if (n <= BOUNCE_BYTES || !device_cuda_is_registered(cuda, src, n))
        return upload_by_pieces(cuda, dst, src, n, err);
    st = copy(cuda, dst, src, n, err);
    return st == ST_OK ? wait_compute(cuda, err) : st;
}

/* Piece i is fetched while piece i - 1 is taken out of its buffer. */
static enum status download_by_pieces(struct device_cuda *cuda, unsigned char *host,
                                      const unsigned char *src, size_t n, struct err *err)
{
    size_t n_pieces = (n + BOUNCE_BYTES - 1) / BOUNCE_BYTES;
    enum status st = ST_OK;

    for (size_t i = 0; st == ST_OK && i <= n_pieces; i++) {
        if (i < n_pieces) {
            size_t at = i * BOUNCE_BYTES;
            st = copy(cuda, cuda->down[i % 2].p, src + at,
                      n - at < BOUNCE_BYTES ? n - at : BOUNCE_BYTES, err);
            if (st == ST_OK)
                st = record(cuda, &cuda->down[i % 2], err);
        }
        if (i > 0 && st == ST_OK) {
            size_t at = (i - 1) * BOUNCE_BYTES;
            st = wait_event(cuda, cuda->down[(i - 1) % 2].event, err);
            if (st == ST_OK)
                memcpy(host + at, cuda->down[(i - 1) % 2].p,
                       n - at < BOUNCE_BYTES ? n - at : BOUNCE_BYTES);
        }
    }
    return st == ST_OK ? device_cuda_queue_collect(cuda, err) : st;
}

enum status device_cuda_download(struct device *dev, void *host, const void *src, size_t n,
                                 struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    enum status st;

    if (n == 0)
        return ST_OK;
    st = device_cuda_submit(dev, err);
    if (st != ST_OK)
        return st;
    if (!device_cuda_is_registered(cuda, host, n))
        return download_by_pieces(cuda, host, src, n, err);
    st = copy(cuda, host, src, n, err);
    return st == ST_OK ? wait_compute(cuda, err) : st;
}

enum status device_cuda_read(struct device *dev, void *host, const void *src, size_t n,
                             struct err *err)
{
    return device_cuda_download(dev, host, src, n, err);
}

enum status device_cuda_sync(struct device *dev, struct err *err)
{
    enum status st = device_cuda_submit(dev, err);

    return st == ST_OK ? wait_compute(device_cuda_of(dev), err) : st;
}
