#include "tools/synth/shard_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/proc.h"

/* One write of at most SHARD_PIECE_BYTES. */
struct piece {
    const struct tensor *tensor;
    uint64_t first; /* element of the tensor */
};

struct job {
    const struct shard_file_args *args;
    int fd;
    uint64_t data_at; /* where the header ends */
    struct piece *piece;
    size_t n_pieces;
    atomic_int error; /* errno of the first write that failed; 0: none */
};

uint8_t *shard_file_header(const struct tensor_list *list, size_t shard, enum weight_dtype dtype,
                           size_t *n_bytes)
{
    json_t *all = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    size_t from, to, n, n_padded;
    uint8_t *bytes;
    char *text;

    CHECK(all != NULL);
    tensor_list_range(list, shard, &from, &to);
    for (size_t i = from; i < to; i++) {
        const struct tensor *t = &list->tensor[i];
        uint64_t end = t->begin + t->n_elements * list->element_bytes;
        json_t *shape = json_array();
        for (uint32_t d = 0; d < t->n_dims; d++)
            json_array_append_new(shape, json_integer((json_int_t)t->dim[d]));
        json_object_set_new(all, t->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", weight_dtype_name(dtype),
                                      "shape", shape, "data_offsets", (json_int_t)t->begin,
                                      (json_int_t)end));
    }
    text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    CHECK(text != NULL);
    n = strlen(text);
    n_padded = (n + 7) / 8 * 8;
    bytes = mem_alloc(8 + n_padded);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)n_padded >> 8 * i);
    memcpy(bytes + 8, text, n);
    memset(bytes + 8 + n, ' ', n_padded - n);
    free(text);
    *n_bytes = 8 + n_padded;
    return bytes;
}

/* 0, or the errno of a failed write. */
static int write_all(int fd, const uint8_t *bytes, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, bytes, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? errno : EIO;
        bytes += done;
        n -= (size_t)done;
        at += (uint64_t)done;
    }
    return 0;
}

static void write_piece(void *arg, int task, int thread)
{
    struct job *job = arg;
    const struct piece *piece = &job->piece[task];
    const struct tensor *t = piece->tensor;
    uint32_t element_bytes = job->args->list->element_bytes;
    uint8_t *buffer = job->args->buffer + (size_t)thread * SHARD_PIECE_BYTES;
    uint64_t n = t->n_elements - piece->first;
    int none = 0, error;

    if (atomic_load(&job->error) != 0 || proc_stop_requested())
        return;
    if (n > SHARD_PIECE_BYTES / element_bytes)
        n = SHARD_PIECE_BYTES / element_bytes;
    weight_source_fill(job->args->source, t, piece->first, (size_t)n, buffer);
    error = write_all(job->fd, buffer, (size_t)n * element_bytes,
                      job->data_at + t->begin + piece->first * element_bytes);
    if (error != 0)
        atomic_compare_exchange_strong(&job->error, &none, error);
}

/* Pieces of all tensors of the shard, in the order of the file. */
static void cut(struct job *job)
{
    const struct tensor_list *list = job->args->list;
    uint64_t piece_elements = SHARD_PIECE_BYTES / list->element_bytes;
    size_t from, to, n = 0;

    tensor_list_range(list, job->args->shard, &from, &to);
    for (size_t i = from; i < to; i++)
        n += (size_t)((list->tensor[i].n_elements + piece_elements - 1) / piece_elements);
    job->piece = mem_array(n, sizeof *job->piece);
    for (size_t i = from; i < to; i++)
        for (uint64_t at = 0; at < list->tensor[i].n_elements; at += piece_elements)
            job->piece[job->n_pieces++] = (struct piece){&list->tensor[i], at};
}

static enum status write_data(struct job *job, const char *path, struct err *err)
{
    int error;

    cut(job);
    pool_run(job->args->pool, (int)job->n_pieces, write_piece, job);
    free(job->piece);
    error = atomic_load(&job->error);
    if (error == 0 && proc_stop_requested())
        return err_set(err, ST_CLOSED, "stopped");
    if (error == 0 && fsync(job->fd) != 0)
        error = errno;
    return error == 0 ? ST_OK : err_set(err, ST_IO, "write %s: %s", path, strerror(error));
}

enum status shard_file_write(const struct shard_file_args *args, const char *path, struct err *err)
{
    struct job job = {.args = args};
    size_t n_header = 0;
    uint8_t *header;
    enum status st = ST_OK;
    int error;

    job.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (job.fd < 0)
        return err_set(err, ST_IO, "create %s: %s", path, strerror(errno));
    header = shard_file_header(args->list, args->shard, args->dtype, &n_header);
    job.data_at = n_header;
    error = write_all(job.fd, header, n_header, 0);
    if (error != 0)
        st = err_set(err, ST_IO, "write %s: %s", path, strerror(error));
    if (st == ST_OK)
        st = write_data(&job, path, err);
    if (close(job.fd) != 0 && st == ST_OK)
        st = err_set(err, ST_IO, "close %s: %s", path, strerror(errno));
    free(header);
    return st;
}
