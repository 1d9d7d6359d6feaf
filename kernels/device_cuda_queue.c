#include "common/mem.h"
#include "kernels/device_cuda_state.h"

static enum status create(cudaEvent_t *event, unsigned flags, struct err *err)
{
    cudaError_t e = cudaEventCreateWithFlags(event, flags);

    if (e != cudaSuccess)
        return device_cuda_refused(e, "creating an event", err);
    return ST_OK;
}

enum status device_cuda_queue_open(struct device_cuda *cuda, struct err *err)
{
    struct cuda_queue *q = &cuda->queue;
    cudaError_t e = cudaStreamCreateWithFlags(&q->stream, cudaStreamNonBlocking);
    enum status st;

    if (e != cudaSuccess)
        return device_cuda_refused(e, "creating a stream", err);
    st = create(&q->order, cudaEventDisableTiming, err);
    for (int i = 0; st == ST_OK && i < CUDA_TICKETS; i++)
        st = create(&q->event[i], cudaEventDisableTiming, err);
    for (int i = 0; st == ST_OK && i < CUDA_STALLS; i++) {
        st = create(&q->stall[i].begin, cudaEventDefault, err);
        if (st == ST_OK)
            st = create(&q->stall[i].end, cudaEventDefault, err);
    }
    return st;
}

static void destroy(cudaEvent_t event)
{
    if (event != NULL)
        cudaEventDestroy(event);
}

void device_cuda_queue_close(struct device_cuda *cuda)
{
    struct cuda_queue *q = &cuda->queue;

    for (int i = 0; i < CUDA_STALLS; i++) {
        destroy(q->stall[i].begin);
        destroy(q->stall[i].end);
    }
    for (int i = 0; i < CUDA_TICKETS; i++)
        destroy(q->event[i]);
    destroy(q->order);
    if (q->stream != NULL)
        cudaStreamDestroy(q->stream);
}

static cudaEvent_t event_of(struct cuda_queue *q, uint64_t ticket)
{
    return q->event[ticket % CUDA_TICKETS];
}

/* The link's stream waits for what computing has queued since it last did. */
static cudaError_t follow_compute(struct device_cuda *cuda)
{
    struct cuda_queue *q = &cuda->queue;
    cudaError_t e;

    if (q->seen_work == cuda->work)
        return cudaSuccess;
    e = cudaEventRecord(q->order, cuda->compute);
    if (e == cudaSuccess)
        e = cudaStreamWaitEvent(q->stream, q->order, 0);
    if (e == cudaSuccess)
        q->seen_work = cuda->work;
    return e;
}

enum status device_cuda_queue_start(struct device *dev, void *dst, const void *host, size_t n,
                                    uint64_t *ticket, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    struct cuda_queue *q = &cuda->queue;
    enum status st = device_cuda_submit(dev, err);
    cudaEvent_t event = event_of(q, q->last + 1);
    cudaError_t e;

    if (st != ST_OK)
        return st;
    e = cudaEventSynchronize(event); /* of the ticket CUDA_TICKETS ago */
    if (e == cudaSuccess)
        e = follow_compute(cuda);
    if (e == cudaSuccess && n > 0)
        e = cudaMemcpyAsync(dst, host, n, cudaMemcpyDefault, q->stream);
    if (e == cudaSuccess)
        e = cudaEventRecord(event, q->stream);
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "copying over the link", err);
    q->n_bytes += n;
    *ticket = ++q->last;
    return ST_OK;
}

/* Milliseconds between two events as nanoseconds. */
static cudaError_t add_stall(struct cuda_queue *q, const struct cuda_stall *stall)
{
    float ms = 0;
    cudaError_t e = cudaEventElapsedTime(&ms, stall->begin, stall->end);

    if (e == cudaSuccess)
        q->stall_ns += (double)ms * 1e6;
    return e;
}

enum status device_cuda_queue_collect(struct device_cuda *cuda, struct err *err)
{
    struct cuda_queue *q = &cuda->queue;
    cudaError_t e = cudaSuccess;

    for (int i = 0; e == cudaSuccess && i < q->n_stalls; i++) {
        e = cudaEventSynchronize(q->stall[i].end);
        if (e == cudaSuccess)
            e = add_stall(q, &q->stall[i]);
    }
    q->n_stalls = 0;
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "running operations", err);
    return ST_OK;
}

static enum status wait_on_stream(struct device_cuda *cuda, uint64_t ticket, struct err *err)
{
    struct cuda_queue *q = &cuda->queue;
    struct cuda_stall *stall;
    enum status st = q->n_stalls == CUDA_STALLS ? device_cuda_queue_collect(cuda, err) : ST_OK;
    cudaError_t e;

    if (st != ST_OK)
        return st;
    stall = &q->stall[q->n_stalls++];
    e = cudaEventRecord(stall->begin, cuda->compute);
    if (e == cudaSuccess)
        e = cudaStreamWaitEvent(cuda->compute, event_of(q, ticket), 0);
    if (e == cudaSuccess)
        e = cudaEventRecord(stall->end, cuda->compute);
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "waiting for a copy", err);
    return ST_OK;
}

/* Recorded operations are submitted whether or not the copy is done already, so
 * that segments are the same whatever the timing was. */
enum status device_cuda_queue_wait(struct device *dev, uint64_t ticket, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    struct cuda_queue *q = &cuda->queue;
    enum status st;
    cudaError_t e;

    CHECK(ticket <= q->last); /* never given */
    if (ticket <= q->waited)
        return ST_OK;
    st = device_cuda_submit(dev, err);
    if (st != ST_OK)
        return st;
    e = ticket + CUDA_TICKETS <= q->last ? cudaSuccess : cudaEventQuery(event_of(q, ticket));
    if (e == cudaErrorNotReady)
        st = wait_on_stream(cuda, ticket, err);
    else if (e != cudaSuccess)
        st = device_cuda_fault(cuda, e, "copying over the link", err);
    if (st == ST_OK)
        q->waited = ticket;
    return st;
}

bool device_cuda_queue_done(struct device *dev, uint64_t ticket)
{
    struct device_cuda *cuda = device_cuda_of(dev);

    CHECK(ticket <= cuda->queue.last);
    if (ticket == 0 || ticket + CUDA_TICKETS <= cuda->queue.last)
        return true;
    /* A failed copy counts as done: the next call that can fail says why. */
    return cudaEventQuery(event_of(&cuda->queue, ticket)) != cudaErrorNotReady;
}

uint64_t device_cuda_queue_bytes(const struct device *dev)
{
    return device_cuda_of(dev)->queue.n_bytes;
}

uint64_t device_cuda_queue_stall_ns(const struct device *dev)
{
    return (uint64_t)device_cuda_of(dev)->queue.stall_ns;
}
