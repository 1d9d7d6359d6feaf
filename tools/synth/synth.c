#include "tools/synth/synth.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/whole_file.h"
#include "tools/synth/checkpoint_json.h"
#include "tools/synth/out_dir.h"
#include "tools/synth/shard_file.h"
#include "tools/synth/tokenizer_copy.h"

#define DEMO_TOKENIZER "experiments/demo/target/tokenizer.json"

/* Twice the largest tokenizer in use, and the block that a file's end may waste. */
enum { ROOM_FOR_THE_REST = 64 << 20, MAX_SHARDS = 1024 };

struct synth {
    const struct synth_args *args;
    char *demo_tokenizer; /* owned; NULL where one was given */
    struct tensor_list list;
    struct tokenizer_copy tokenizer;
    struct out_dir dir;
    struct pool *pool;
    struct weight_source *source;
    uint8_t *buffer;
};

static enum status write_shards(struct synth *s, struct err *err)
{
    struct shard_file_args args = {.list = &s->list,
                                   .source = s->source,
                                   .dtype = s->args->dtype,
                                   .pool = s->pool,
                                   .buffer = s->buffer};
    enum status st = ST_OK;

    for (; st == ST_OK && args.shard < s->list.n_shards; args.shard++) {
        char *name = tensor_list_shard_name(&s->list, args.shard);
        char *path = mem_printf("%s/%s", s->dir.partial, name);
        st = shard_file_write(&args, path, err);
        free(path);
        free(name);
    }
    return st;
}

/* Takes the text. */
static enum status write_text(struct synth *s, const char *name, char *text, struct err *err)
{
    char *path = mem_printf("%s/%s", s->dir.partial, name);
    enum status st = whole_file_write(path, text, strlen(text), err);

    free(path);
    free(text);
    return st;
}

static enum status write_small(struct synth *s, struct err *err)
{
    const struct checkpoint_json config = {.arch = s->args->arch,
                                           .dtype = s->args->dtype,
                                           .seed = s->args->seed,
                                           .tokenizer = s->args->tokenizer == NULL
                                                            ? "of the MSpecKV demo model"
                                                            : "given with --tokenizer",
                                           .bos = s->tokenizer.bos,
                                           .eos = s->tokenizer.eos};
    enum status st = tokenizer_copy_write(&s->tokenizer, s->dir.partial, err);

    if (st == ST_OK && s->list.n_shards > 1)
        st = write_text(s, "model.safetensors.index.json", checkpoint_json_index(&s->list), err);
    if (st == ST_OK)
        st = write_text(s, "config.json", checkpoint_json_config(&config), err);
    return st;
}

/* The demo target's tokenizer: in an installation, or where the build was
 * configured. Owned by the caller. */
static char *find_tokenizer(void)
{
    char dir[PATH_MAX], *path;

    if (proc_self_dir(dir, sizeof dir, NULL) == ST_OK) {
        path = mem_printf("%s/../share/mspeckv/" DEMO_TOKENIZER, dir);
        if (access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return mem_strdup(MSPECKV_SOURCE_DIR "/" DEMO_TOKENIZER);
}

static enum status plan(struct synth *s, struct err *err)
{
    const struct synth_args *args = s->args;
    enum status st;

    if (args->tokenizer == NULL)
        s->demo_tokenizer = find_tokenizer();
    st = tokenizer_copy_check(&s->tokenizer,
                              s->demo_tokenizer != NULL ? s->demo_tokenizer : args->tokenizer,
                              args->arch->n_vocab, err);
    if (st != ST_OK)
        return st;
    tensor_list_make(&s->list, args->arch, weight_dtype_bytes(args->dtype), args->shard_bytes);
    if (s->list.n_shards > MAX_SHARDS)
        return err_set(err, ST_INVALID,
                       "--shard-size %g makes %zu files, at most %d can be loaded; a larger one "
                       "would be right",
                       (double)args->shard_bytes * 1e-9, s->list.n_shards, MAX_SHARDS);
    st = out_dir_open(&s->dir, args->out, err);
    if (st == ST_OK)
        st = out_dir_check_space(&s->dir, s->list.data_bytes + ROOM_FOR_THE_REST, err);
    return st;
}

static enum status write_all(struct synth *s, struct err *err)
{
    enum status st = pool_open(&s->pool, s->args->n_threads, NULL, err);

    if (st != ST_OK)
        return st;
    weight_source_open(&s->source, s->args->dtype, s->args->seed, s->args->arch->n_layers);
    s->buffer = mem_aligned(4096, (size_t)s->args->n_threads * SHARD_PIECE_BYTES);
    st = write_small(s, err);
    if (st == ST_OK)
        st = write_shards(s, err);
    return st == ST_OK ? out_dir_publish(&s->dir, err) : st;
}

enum status synth_run(const struct synth_args *args, struct synth_report *report, struct err *err)
{
    struct synth s = {.args = args};
    uint64_t begin_ns = clock_now_ns();
    enum status st = plan(&s, err);

    if (st == ST_OK)
        st = write_all(&s, err);
    if (st == ST_OK)
        *report = (struct synth_report){.n_tensors = s.list.n,
                                        .n_shards = s.list.n_shards,
                                        .n_elements = s.list.n_elements,
                                        .data_bytes = s.list.data_bytes,
                                        .n_ids = s.tokenizer.n_ids,
                                        .seconds = clock_seconds_since(begin_ns)};
    free(s.buffer);
    weight_source_close(s.source);
    pool_close(s.pool);
    out_dir_release(&s.dir);
    tensor_list_release(&s.list);
    free(s.demo_tokenizer);
    return st;
}
