#include "tests/cuda_shim/shim_queue.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/cuda_shim/shim_device.h"
#include "tests/cuda_shim/shim_graph.h"
#include "tests/cuda_shim/shim_memory.h"

#define STREAMS_MAX 256

struct work {
    struct work *next;
    shim_queue_run *run; /* NULL: a wait */
    cudaStream_t other;  /* a wait: until it has done `other_number` */
    uint64_t other_number;
    unsigned char payload[];
};

struct CUstream_st {
    struct work *first, **last;
    uint64_t n_queued, n_done;
    bool blocking;
    cudaGraph_t captured; /* NULL: not being captured */
};

struct CUevent_st {
    cudaStream_t stream; /* of the last record; NULL: never recorded, or run at once */
    uint64_t number;     /* the last work before the record, and the record itself */
    bool timed, done;
    uint64_t records;
    struct timespec when;
};

static cudaStream_t streams[STREAMS_MAX];
static int n_streams;

bool shim_queue_is_stream(cudaStream_t stream)
{
    bool found = !stream;

    for (int i = 0; i < n_streams && !found; i++)
        found = streams[i] == stream;
    return found;
}

bool shim_queue_is_captured(cudaStream_t stream)
{
    return stream && stream->captured;
}

/* Runs the work of `s` up to `number`. */
static void run_to(cudaStream_t s, uint64_t number)
{
    while (s->n_done < number) {
        struct work *w = s->first;

        s->first = w->next;
        if (!s->first)
            s->last = &s->first;
        if (w->run)
            w->run(w->payload);
        else
            run_to(w->other, w->other_number);
        s->n_done++;
        free(w);
    }
}

static struct work *append(cudaStream_t s, size_t payload_bytes)
{
    struct work *w = calloc(1, sizeof *w + payload_bytes);

    if (!w) {
        fprintf(stderr, "cuda shim: out of host memory\n");
        abort();
    }
    *s->last = w;
    s->last = &w->next;
    s->n_queued++;
    return w;
}

void shim_queue_finish(cudaStream_t stream)
{
    shim_memory_open();
    for (int i = 0; i < n_streams; i++)
        if (!stream || streams[i] == stream)
            run_to(streams[i], streams[i]->n_queued);
    shim_memory_close();
}

void shim_queue_add(cudaStream_t stream, shim_queue_run *run, const void *payload, size_t n)
{
    if (stream && stream->captured) {
        shim_graph_add(stream->captured, run, payload, n);
        return;
    }
    if (stream) {
        struct work *w = append(stream, n);
        w->run = run;
        memcpy(w->payload, payload, n);
        return;
    }
    shim_memory_open();
    for (int i = 0; i < n_streams; i++)
        if (streams[i]->blocking)
            run_to(streams[i], streams[i]->n_queued);
    run(payload);
    shim_memory_close();
}

/* ---- the runtime's functions about streams ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
    cudaError_t error = cudaErrorMemoryAllocation;

    shim_device_enter();
    cudaStream_t s = n_streams < STREAMS_MAX ? calloc(1, sizeof *s) : NULL;
    if (s) {
        s->last = &s->first;
        s->blocking = !(flags & cudaStreamNonBlocking);
        streams[n_streams++] = s;
        *stream = s;
        error = cudaSuccess;
    }
    return shim_device_leave(error);
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority)
{
    (void)priority;
    return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    cudaError_t error = cudaErrorInvalidResourceHandle;

    shim_device_enter();
    if (stream && shim_queue_is_stream(stream)) {
        shim_queue_finish(NULL); /* others may wait for it */
        for (int i = 0; i < n_streams; i++)
            if (streams[i] == stream)
                streams[i] = streams[--n_streams];
        free(stream);
        error = cudaSuccess;
    }
    return shim_device_leave(error);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    if (!shim_queue_is_stream(stream))
        error = cudaErrorInvalidResourceHandle;
    else if (shim_queue_is_captured(stream))
        error = cudaErrorNotPermitted;
    else
        shim_queue_finish(stream);
    return shim_device_leave(error);
}

/* A question makes the work go on by one piece: who asks often enough gets done. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    if (!stream || !shim_queue_is_stream(stream)) {
        error = cudaErrorInvalidResourceHandle;
    } else if (stream->n_done < stream->n_queued) {
        shim_memory_open();
        run_to(stream, stream->n_done + 1);
        shim_memory_close();
        error = cudaErrorNotReady;
    }
    return shim_device_leave(error);
}

cudaError_t cudaDeviceSynchronize(void)
{
    shim_device_enter();
    shim_queue_finish(NULL);
    return shim_device_leave(cudaSuccess);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
    cudaError_t error = cudaSuccess;

    (void)flags;
    shim_device_enter();
    if (!shim_queue_is_stream(stream) || !event) {
        error = cudaErrorInvalidResourceHandle;
    } else if (shim_queue_is_captured(stream)) {
        error = cudaErrorNotSupported; /* the shim captures one stream alone */
    } else if (event->stream && !event->done && !stream) {
        shim_queue_finish(event->stream);
    } else if (event->stream && !event->done) {
        struct work *w = append(stream, 0);
        w->other = event->stream;
        w->other_number = event->number;
    }
    return shim_device_leave(error);
}

/* ---- and about events ---- */

struct record {
    cudaEvent_t event;
    uint64_t records;
};

static void run_record(const void *payload)
{
    const struct record *r = payload;

    if (r->event->records != r->records)
        return; /* recorded again since */
    clock_gettime(CLOCK_MONOTONIC, &r->event->when);
    r->event->done = true;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    cudaEvent_t e = calloc(1, sizeof *e);

    if (!e)
        return cudaErrorMemoryAllocation;
    e->timed = !(flags & cudaEventDisableTiming);
    *event = e;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

static bool is_pending(cudaEvent_t event)
{
    return event->stream && !event->done;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    if (!event)
        return cudaErrorInvalidResourceHandle;
    shim_device_enter();
    if (event->records > 0)
        shim_queue_finish(NULL); /* an older record of it may still be queued */
    free(event);
    return shim_device_leave(cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    if (!event || !shim_queue_is_stream(stream)) {
        error = cudaErrorInvalidResourceHandle;
    } else if (shim_queue_is_captured(stream)) {
        error = cudaErrorNotSupported;
    } else {
        struct record r = {event, ++event->records};

        event->done = false;
        event->stream = stream;
        event->number = stream ? stream->n_queued + 1 : 0;
        shim_queue_add(stream, run_record, &r, sizeof r);
    }
    return shim_device_leave(error);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (!event)
        return cudaErrorInvalidResourceHandle;
    shim_device_enter();
    if (is_pending(event)) {
        shim_memory_open();
        run_to(event->stream, event->number);
        shim_memory_close();
    }
    return shim_device_leave(cudaSuccess);
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    cudaError_t error = cudaSuccess;

    if (!event)
        return cudaErrorInvalidResourceHandle;
    shim_device_enter();
    if (is_pending(event)) {
        shim_memory_open();
        run_to(event->stream, event->stream->n_done + 1);
        shim_memory_close();
        error = cudaErrorNotReady;
    }
    return shim_device_leave(error);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end)
{
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    if (!begin || !end || !begin->timed || !end->timed || !begin->records || !end->records)
        error = cudaErrorInvalidResourceHandle;
    else if (!begin->done || !end->done)
        error = cudaErrorNotReady;
    else
        *ms = (float)((double)(end->when.tv_sec - begin->when.tv_sec) * 1e3 +
                      (double)(end->when.tv_nsec - begin->when.tv_nsec) * 1e-6);
    return shim_device_leave(error);
}

struct host_call {
    cudaHostFn_t fn;
    void *data;
};

static void run_host_call(const void *payload)
{
    const struct host_call *c = payload;

    c->fn(c->data);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *data)
{
    struct host_call c = {fn, data};
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    if (!fn || !shim_queue_is_stream(stream))
        error = cudaErrorInvalidResourceHandle;
    else
        shim_queue_add(stream, run_host_call, &c, sizeof c);
    return shim_device_leave(error);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    cudaError_t error = cudaErrorInvalidResourceHandle;

    (void)mode;
    shim_device_enter();
    if (stream && shim_queue_is_stream(stream) && !stream->captured)
        error = cudaGraphCreate(&stream->captured, 0);
    return shim_device_leave(error);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    cudaError_t error = cudaErrorInvalidResourceHandle;

    shim_device_enter();
    if (stream && shim_queue_is_stream(stream) && stream->captured) {
        *graph = stream->captured;
        stream->captured = NULL;
        error = cudaSuccess;
    }
    return shim_device_leave(error);
}
