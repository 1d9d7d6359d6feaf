#include "kernels/copy_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/trace.h"

enum {
    PIECE_BYTES = 256 * 1024,
    /* The default slack of 50 us is a third of a 4 MiB copy at 25 GB/s. */
    TIMER_SLACK_NS = 1000
};

struct copy_job {
    void *dst;
    const void *src;
    size_t n;
    uint64_t submit_ns;
};

struct copy_queue {
    double bytes_per_ns;   /* 0: not paced */
    uint64_t link_free_ns; /* the copy thread's; when the previous copy's last byte was due */
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t there, done;
    struct copy_job *job; /* ring; ticket t lies at t % cap */
    uint64_t cap;
    uint64_t last, finished; /* tickets */
    uint64_t bytes;
    bool closing;
};

static void carry_paced(struct copy_queue *queue, const struct copy_job *job)
{
    uint64_t begin = job->submit_ns > queue->link_free_ns ? job->submit_ns : queue->link_free_ns;
    size_t at = 0;

    queue->link_free_ns = begin;
    while (at < job->n) {
        size_t piece = job->n - at < PIECE_BYTES ? job->n - at : PIECE_BYTES;

        memcpy((char *)job->dst + at, (const char *)job->src + at, piece);
        at += piece;
        /* + 1: rounding must not let a copy end early. */
        queue->link_free_ns = begin + (uint64_t)((double)at / queue->bytes_per_ns) + 1;
        clock_sleep_until(queue->link_free_ns);
    }
}

static void carry(struct copy_queue *queue, const struct copy_job *job)
{
    if (queue->bytes_per_ns > 0)
        carry_paced(queue, job);
    else if (job->n > 0)
        memcpy(job->dst, job->src, job->n);
}

static void *copy_main(void *arg)
{
    struct copy_queue *queue = arg;

    pthread_setname_np(pthread_self(), "copy-queue");
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    trace_thread("link");
    pthread_mutex_lock(&queue->lock);
    for (;;) {
        while (queue->finished == queue->last && !queue->closing)
            pthread_cond_wait(&queue->there, &queue->lock);
        if (queue->finished == queue->last)
            break;
        struct copy_job job = queue->job[(queue->finished + 1) % queue->cap];
        uint64_t span;

        pthread_mutex_unlock(&queue->lock);
        span = trace_begin(TRACE_COPY);
        carry(queue, &job);
        trace_end(TRACE_COPY, span, job.n, 0);
        pthread_mutex_lock(&queue->lock);
        queue->finished++;
        queue->bytes += job.n;
        trace_total(TRACE_N_LINK_BYTES, queue->bytes);
        pthread_cond_broadcast(&queue->done);
    }
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

enum status copy_queue_open(struct copy_queue **out, double gbps, struct err *err)
{
    struct copy_queue *queue = mem_zalloc(sizeof *queue);
    int rc;

    queue->bytes_per_ns = gbps; /* 1e9 bytes per second are 1 byte per ns */
    queue->cap = 64;
    queue->job = mem_array(queue->cap, sizeof *queue->job);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->there, NULL);
    pthread_cond_init(&queue->done, NULL);
    rc = pthread_create(&queue->thread, NULL, copy_main, queue);
    if (rc != 0) {
        pthread_cond_destroy(&queue->done);
        pthread_cond_destroy(&queue->there);
        pthread_mutex_destroy(&queue->lock);
        free(queue->job);
        free(queue);
        return err_set(err, ST_IO, "start the copy thread: %s", strerror(rc));
    }
    *out = queue;
    return ST_OK;
}

void copy_queue_close(struct copy_queue *queue)
{
    if (queue == NULL)
        return;
    pthread_mutex_lock(&queue->lock);
    queue->closing = true;
    pthread_cond_signal(&queue->there);
    pthread_mutex_unlock(&queue->lock);
    pthread_join(queue->thread, NULL);
    pthread_cond_destroy(&queue->done);
    pthread_cond_destroy(&queue->there);
    pthread_mutex_destroy(&queue->lock);
    free(queue->job);
    free(queue);
}

/* Doubles the ring; called with the lock held. The job in progress has been
 * copied out of it. */
static void grow(struct copy_queue *queue)
{
    uint64_t cap = queue->cap * 2;
    struct copy_job *job = mem_array(cap, sizeof *job);

    for (uint64_t t = queue->finished + 1; t <= queue->last; t++)
        job[t % cap] = queue->job[t % queue->cap];
    free(queue->job);
    queue->job = job;
    queue->cap = cap;
}

uint64_t copy_queue_start(struct copy_queue *queue, void *dst, const void *src, size_t n)
{
    uint64_t ticket;

    pthread_mutex_lock(&queue->lock);
    if (queue->last - queue->finished == queue->cap)
        grow(queue);
    ticket = ++queue->last;
    queue->job[ticket % queue->cap] =
        (struct copy_job){.dst = dst, .src = src, .n = n, .submit_ns = clock_now_ns()};
    pthread_cond_signal(&queue->there);
    pthread_mutex_unlock(&queue->lock);
    return ticket;
}

void copy_queue_wait(struct copy_queue *queue, uint64_t ticket)
{
    pthread_mutex_lock(&queue->lock);
    CHECK(ticket <= queue->last);
    while (queue->finished < ticket)
        pthread_cond_wait(&queue->done, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
}

bool copy_queue_is_done(struct copy_queue *queue, uint64_t ticket)
{
    bool done;

    pthread_mutex_lock(&queue->lock);
    CHECK(ticket <= queue->last);
    done = queue->finished >= ticket;
    pthread_mutex_unlock(&queue->lock);
    return done;
}

void copy_queue_wait_all(struct copy_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->finished < queue->last)
        pthread_cond_wait(&queue->done, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
}

uint64_t copy_queue_bytes(struct copy_queue *queue)
{
    uint64_t bytes;

    pthread_mutex_lock(&queue->lock);
    bytes = queue->bytes;
    pthread_mutex_unlock(&queue->lock);
    return bytes;
}
