#include "common/trace_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg.h"
#include "common/whole_file.h"

_Static_assert(sizeof(struct trace_event) == 32, "no padding");
_Static_assert(sizeof(struct trace_head) == 624, "no padding");

const struct trace_words *trace_words(enum trace_name name)
{
    static const struct trace_words words[] = {
#define TRACE_WORDS(word, text, value, detail) {text, value, detail},
        TRACE_LIST(TRACE_WORDS)
#undef TRACE_WORDS
    };

    return &words[name];
}

void trace_file_boot(char boot[TRACE_BOOT_TEXT])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    memset(boot, 0, TRACE_BOOT_TEXT);
    if (file == NULL)
        return;
    if (fgets(boot, TRACE_BOOT_TEXT, file) != NULL)
        boot[strcspn(boot, "\n")] = '\0';
    fclose(file);
}

/* ---- reading ---- */

static bool is_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\0')
            return true;
        if (text[i] < ' ' || text[i] > '~')
            return false;
    }
    return false;
}

static enum status check_head(const struct trace_head *h, size_t n_bytes, struct err *err)
{
    if (n_bytes < sizeof *h)
        return err_set(err, ST_CORRUPT, "%zu bytes are no trace: its head has %zu", n_bytes,
                       sizeof *h);
    if (memcmp(h->magic, TRACE_FILE_MAGIC, sizeof h->magic) != 0)
        return err_set(err, ST_CORRUPT, "no trace: it does not begin with %s", TRACE_FILE_MAGIC);
    if (h->version != TRACE_FILE_VERSION || h->event_bytes != sizeof(struct trace_event))
        return err_set(err, ST_VERSION, "a trace of version %u with events of %u bytes, not %d/%zu",
                       h->version, h->event_bytes, TRACE_FILE_VERSION, sizeof(struct trace_event));
    if (h->n_threads == 0 || h->n_threads > TRACE_MAX_THREADS)
        return err_set(err, ST_CORRUPT, "n_threads %u is not in 1..%d", h->n_threads,
                       TRACE_MAX_THREADS);
    if (!is_text(h->process, sizeof h->process) || !is_text(h->boot, sizeof h->boot))
        return err_set(err, ST_CORRUPT, "the names of process and boot are no text");
    for (uint32_t i = 0; i < h->n_threads; i++)
        if (!is_text(h->thread[i], sizeof h->thread[i]))
            return err_set(err, ST_CORRUPT, "the name of thread %u is no text", i);
    return ST_OK;
}

static const char *fault_of(const struct trace_event *e, const struct trace_head *h)
{
    bool is_message = e->kind == TRACE_SEND || e->kind == TRACE_RECEIVE;

    if (e->kind >= TRACE_KIND_COUNT)
        return "kind";
    if (e->name >= (is_message ? (int)MSG_VERB_COUNT : (int)TRACE_NAME_COUNT))
        return "name";
    if (e->thread >= h->n_threads)
        return "thread";
    if (e->begin_ns > e->end_ns || e->end_ns > INT64_MAX)
        return "end_ns";
    return NULL;
}

/* Moves the finished events of `bytes` to their start. */
static enum status keep_events(struct trace_file *f, struct trace_event *event, size_t n,
                               struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *fault =
            event[i].kind == TRACE_UNFINISHED ? NULL : fault_of(&event[i], &f->head);
        if (fault != NULL)
            return err_set(err, ST_CORRUPT, "event %zu: field \"%s\" is not what a trace holds", i,
                           fault);
        if (event[i].kind != TRACE_UNFINISHED)
            event[f->n_events++] = event[i];
    }
    return ST_OK;
}

enum status trace_file_read(struct trace_file *out, const char *path, struct err *err)
{
    const size_t max_bytes =
        sizeof out->head + (size_t)TRACE_CAP_EVENTS * sizeof(struct trace_event);
    size_t n_bytes = 0, n;
    char *bytes = NULL;
    enum status st;

    *out = (struct trace_file){.n_events = 0};
    st = whole_file_read(&bytes, &n_bytes, path, max_bytes, err);
    if (st != ST_OK)
        return st;
    memcpy(&out->head, bytes, n_bytes < sizeof out->head ? n_bytes : sizeof out->head);
    st = check_head(&out->head, n_bytes, err);
    if (st == ST_OK) {
        n = (n_bytes - sizeof out->head) / sizeof *out->event;
        if (out->head.n_events < n)
            n = (size_t)out->head.n_events;
        if (out->head.n_events > out->head.cap_events)
            out->n_dropped = out->head.n_events - out->head.cap_events;
        memmove(bytes, bytes + sizeof out->head, n * sizeof *out->event);
        out->event = (struct trace_event *)(void *)bytes;
        bytes = NULL;
        st = keep_events(out, out->event, n, err);
    }
    free(bytes);
    return st == ST_OK ? ST_OK : err_in(err, st, "%s", path);
}

void trace_file_release(struct trace_file *f)
{
    free(f->event);
    f->event = NULL;
    f->n_events = 0;
}
