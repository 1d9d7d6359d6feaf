#include "orchestrator/results.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "orchestrator/result_json.h"

enum { RESULTS_MAX_BYTES = 1 << 30 };

struct results_file {
    int fd;
    char *path;
    off_t size; /* of the whole lines */
    const struct experiment *e;
};

void result_init(struct result *out, const struct trial *t, double prefill_s,
                 const struct msg_result *meas, const char *reason)
{
    *out = (struct result){.trial = t->number,
                           .method = t->method,
                           .document = t->document,
                           .seed = t->seed,
                           .setting = t->setting,
                           .n_uses = t->n_uses,
                           .ok = meas != NULL,
                           .prefill_s = prefill_s};
    out->use = mem_array(t->n_uses, sizeof *out->use);
    memcpy(out->use, t->use, t->n_uses * sizeof *out->use);
    snprintf(out->reason, sizeof out->reason, "%s", meas == NULL && reason != NULL ? reason : "");
    if (meas == NULL)
        return;
    out->meas = *meas;
    out->meas.token = mem_array(meas->n_tokens, sizeof *meas->token);
    if (meas->n_tokens > 0)
        memcpy(out->meas.token, meas->token, meas->n_tokens * sizeof *meas->token);
}

void result_set_log(struct result *r, const char *log)
{
    free(r->log);
    r->log = log[0] != '\0' ? mem_strdup(log) : NULL;
}

void result_release(struct result *r)
{
    free(r->log);
    free(r->use);
    free(r->meas.token);
    *r = (struct result){.n_uses = 0};
}

double result_tok_per_s(const struct result *r)
{
    return r->ok && r->meas.decode_s > 0 ? r->meas.n_tokens / r->meas.decode_s : NAN;
}

double result_ms_per_token(const struct result *r)
{
    return r->ok && r->meas.n_tokens > 0 ? 1000 * r->meas.decode_s / r->meas.n_tokens : NAN;
}

double result_accepted(const struct result *r)
{
    if (!r->ok || r->method == METHOD_BASELINE || r->meas.rounds == 0)
        return NAN;
    return (double)r->meas.accepted / r->meas.rounds;
}

/* By trial; of one trial the later one first. Both lie in one array. */
static int place_cmp(const void *a, const void *b)
{
    const struct result *const *x = a, *const *y = b;

    if ((*x)->trial != (*y)->trial)
        return (*x)->trial < (*y)->trial ? -1 : 1;
    return *x > *y ? -1 : 1;
}

uint32_t results_keep_last(struct result *result, uint32_t n)
{
    struct result **order = mem_array(n, sizeof(struct result *));
    struct result *kept = mem_array(n, sizeof *kept);
    uint32_t n_kept = 0;

    for (uint32_t i = 0; i < n; i++)
        order[i] = &result[i];
    qsort(order, n, sizeof *order, place_cmp);
    for (uint32_t i = 0; i < n; i++) {
        if (n_kept == 0 || order[i]->trial != kept[n_kept - 1].trial)
            kept[n_kept++] = *order[i];
        else
            result_release(order[i]);
    }
    memcpy(result, kept, n_kept * sizeof *kept);
    free(kept);
    free(order);
    return n_kept;
}

enum status results_open(struct results_file **out, const char *path, const struct experiment *e,
                         struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_set(err, ST_IO, "create %s: %s", path, strerror(errno));
    struct results_file *f = mem_zalloc(sizeof *f);
    f->fd = fd;
    f->path = mem_strdup(path);
    f->e = e;
    *out = f;
    return ST_OK;
}

enum status results_continue(struct results_file **out, const char *path, size_t size,
                             const struct experiment *e, struct err *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ST_IO, "open %s: %s", path, strerror(errno));
    if (ftruncate(fd, (off_t)size) != 0) {
        enum status st = err_set(err, ST_IO, "cut %s: %s", path, strerror(errno));
        close(fd);
        return st;
    }
    struct results_file *f = mem_zalloc(sizeof *f);
    *f = (struct results_file){fd, mem_strdup(path), (off_t)size, e};
    *out = f;
    return ST_OK;
}

void results_close(struct results_file *f)
{
    if (f == NULL)
        return;
    close(f->fd);
    free(f->path);
    free(f);
}

/* A write that ended early leaves a piece of a line; it is cut off again. */
static enum status undo(struct results_file *f, const char *what, int error, struct err *err)
{
    const char *left = ftruncate(f->fd, f->size) == 0 ? "" : "; a piece of the line stays";
    return err_set(err, ST_IO, "%s %s: %s%s", what, f->path, strerror(error), left);
}

enum status results_append(struct results_file *f, const struct result *r, struct err *err)
{
    char *json = result_json_write(r, f->e);
    char *line = mem_printf("%s\n", json);
    size_t n = strlen(line);
    ssize_t put;
    enum status st = ST_OK;

    free(json);
    do
        put = write(f->fd, line, n);
    while (put < 0 && errno == EINTR);
    if (put < 0)
        st = undo(f, "write", errno, err);
    else if ((size_t)put < n)
        st = undo(f, "write", ENOSPC, err);
    else if (fsync(f->fd) != 0)
        st = undo(f, "fsync", errno, err);
    if (st == ST_OK)
        f->size += put;
    free(line);
    return st;
}

static enum status read_lines(struct results *out, const char *path, const char *text, size_t n,
                              const struct experiment *e, struct err *err)
{
    uint32_t number = 1;
    for (size_t at = 0; at < n; number++) {
        const char *end = memchr(text + at, '\n', n - at);
        if (end == NULL) {
            out->torn_bytes = n - at;
            out->torn_line = number;
            return ST_OK;
        }
        size_t length = (size_t)(end - (text + at));
        out->result = mem_resize(out->result, out->n + 1, sizeof *out->result);
        enum status st = result_json_read(&out->result[out->n], text + at, length, e, err);
        if (st != ST_OK)
            return err_in(err, st, "%s:%u", path, number);
        out->n++;
        at += length + 1;
        out->whole_bytes = at;
    }
    return ST_OK;
}

enum status results_read(struct results *out, const char *path, const struct experiment *e,
                         struct err *err)
{
    char *text = NULL;
    size_t n = 0;
    struct results r = {.n = 0};
    enum status st = whole_file_read(&text, &n, path, RESULTS_MAX_BYTES, err);
    if (st == ST_OK)
        st = read_lines(&r, path, text, n, e, err);
    free(text);
    if (st == ST_OK)
        *out = r;
    else
        results_release(&r);
    return st;
}

void results_release(struct results *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        result_release(&r->result[i]);
    free(r->result);
    *r = (struct results){.n = 0};
}
