#include "common/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { THREAD_NONE = -1 };

bool trace_is_on;

static struct {
    struct trace_head *head; /* the mapping */
    struct trace_event *event;
    size_t map_bytes;
    int fd;
    void (*on_begin)(void *self, const char *name);
    void (*on_end)(void *self);
    void *self;
} trace = {.fd = -1};

static _Thread_local int thread_index = THREAD_NONE;

/* The last index is shared by all threads that come when the others are taken. */
static int take_thread(const char *name)
{
    uint32_t at = __atomic_load_n(&trace.head->n_threads, __ATOMIC_RELAXED);

    do {
        if (at == TRACE_MAX_THREADS)
            return TRACE_MAX_THREADS - 1;
    } while (!__atomic_compare_exchange_n(&trace.head->n_threads, &at, at + 1, false,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    if (name != NULL)
        snprintf(trace.head->thread[at], TRACE_TEXT, "%s", name);
    else
        snprintf(trace.head->thread[at], TRACE_TEXT, "thread %u", at);
    return (int)at;
}

static enum status map_file(const char *path, struct err *err)
{
    int error;

    trace.map_bytes = sizeof *trace.head + (size_t)TRACE_CAP_EVENTS * sizeof(struct trace_event);
    trace.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (trace.fd < 0)
        return err_set(err, ST_IO, "open trace %s: %s", path, strerror(errno));
    /* A hole in a mapped file would end the process when the disk is full. */
    do
        error = posix_fallocate(trace.fd, 0, (off_t)trace.map_bytes);
    while (error == EINTR);
    if (error != 0)
        return err_set(err, ST_IO, "trace %s: no room for %zu bytes: %s", path, trace.map_bytes,
                       strerror(error));
    trace.head = mmap(NULL, trace.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, trace.fd, 0);
    if (trace.head == MAP_FAILED) {
        trace.head = NULL;
        return err_set(err, ST_IO, "map trace %s: %s", path, strerror(errno));
    }
    trace.event = (struct trace_event *)(trace.head + 1);
    return ST_OK;
}

enum status trace_open(const char *process, const char *path, struct err *err)
{
    struct trace_head *h;
    enum status st;

    if (path == NULL)
        return ST_OK;
    st = map_file(path, err);
    if (st != ST_OK) {
        if (trace.fd >= 0) {
            close(trace.fd);
            unlink(path);
        }
        trace.fd = -1;
        return st;
    }
    h = trace.head;
    h->version = TRACE_FILE_VERSION;
    h->event_bytes = sizeof(struct trace_event);
    h->cap_events = TRACE_CAP_EVENTS;
    h->pid = (uint32_t)getpid();
    snprintf(h->process, sizeof h->process, "%s", process);
    trace_file_boot(h->boot);
    thread_index = take_thread(process);
    memcpy(h->magic, TRACE_FILE_MAGIC, sizeof h->magic);
    trace_is_on = true;
    return ST_OK;
}

void trace_close(void)
{
    uint64_t n;

    if (!trace_is_on)
        return;
    trace_is_on = false;
    n = trace.head->n_events < TRACE_CAP_EVENTS ? trace.head->n_events : TRACE_CAP_EVENTS;
    munmap(trace.head, trace.map_bytes);
    /* Where this fails the file stays long, which its reader does not mind. */
    (void)!ftruncate(trace.fd, (off_t)(sizeof(struct trace_head) + n * sizeof *trace.event));
    close(trace.fd);
    trace.fd = -1;
    trace.head = NULL;
    trace_watch(NULL, NULL, NULL);
    thread_index = THREAD_NONE;
}

void trace_thread(const char *name)
{
    if (trace_is_on && thread_index == THREAD_NONE)
        thread_index = take_thread(name);
}

void trace_watch(void (*begin)(void *self, const char *name), void (*end)(void *self), void *self)
{
    trace.on_begin = begin;
    trace.on_end = end;
    trace.self = self;
}

static void put(const struct trace_event *from, enum trace_kind kind)
{
    uint64_t at = __atomic_fetch_add(&trace.head->n_events, 1, __ATOMIC_RELAXED);

    if (at >= TRACE_CAP_EVENTS)
        return;
    trace.event[at] = *from;
    /* Last, so that a reader finds an event whole or not at all. */
    __atomic_store_n(&trace.event[at].kind, kind, __ATOMIC_RELEASE);
}

void trace_put(enum trace_kind kind, uint32_t name, uint64_t begin_ns, uint64_t value,
               uint32_t detail)
{
    struct trace_event e = {.begin_ns = begin_ns,
                            .end_ns = kind == TRACE_TOTAL ? begin_ns : clock_now_ns(),
                            .value = value,
                            .detail = detail,
                            .name = (uint16_t)name};

    if (!trace_is_on || begin_ns == 0)
        return;
    if (thread_index == THREAD_NONE)
        thread_index = take_thread(NULL);
    e.thread = (uint8_t)thread_index;
    put(&e, kind);
}

uint64_t trace_enter(enum trace_name name)
{
    if (trace.on_begin != NULL && thread_index == 0)
        trace.on_begin(trace.self, trace_words(name)->text);
    return clock_now_ns();
}

void trace_leave(enum trace_name name, uint64_t begin_ns, uint64_t value, uint32_t detail)
{
    trace_put(TRACE_SPAN, name, begin_ns, value, detail);
    if (trace.on_end != NULL && thread_index == 0)
        trace.on_end(trace.self);
}
