#include "orchestrator/target_shape.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>
#include <xxhash.h>

#include "common/head_defaults.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/random_weights.h"
#include "common/torch_files.h"
#include "common/whole_file.h"
#include "kernels/kv_format.h"

enum { CONFIG_MAX_BYTES = 1 << 20, BLOCK_BYTES = 1 << 20, MAX_HEADS = 4096, MAX_VOCAB = 1 << 22 };

/* ---- config.json ---- */

/* An absent key, or null, gives `standard`; 0 there means that it is required. */
static enum status read_count(const json_t *config, const char *key, uint32_t max,
                              uint32_t standard, uint32_t *out, struct err *err)
{
    const json_t *value = json_object_get(config, key);

    if ((value == NULL || json_is_null(value)) && standard > 0) {
        *out = standard;
        return ST_OK;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > (json_int_t)max)
        return err_set(err, ST_CORRUPT, "%s must be a whole number of 1 .. %u", key, max);
    *out = (uint32_t)json_integer_value(value);
    return ST_OK;
}

/* Heads may be left out; what that means is the architecture's, what a null means is not. */
static enum status read_heads(struct target_shape *s, const json_t *config, uint32_t hidden,
                              struct err *err)
{
    const json_t *list = json_object_get(config, "architectures");
    struct head_defaults absent = head_defaults_of(json_string_value(json_array_get(list, 0)));
    uint32_t n_kv = s->n_heads, dim = hidden / s->n_heads;
    enum status st;

    if (absent.n_kv_heads > 0 && json_object_get(config, "num_key_value_heads") == NULL)
        n_kv = absent.n_kv_heads;
    if (absent.head_dim > 0 && json_object_get(config, "head_dim") == NULL)
        dim = absent.head_dim;
    st = read_count(config, "num_key_value_heads", MAX_HEADS, n_kv, &s->n_kv_heads, err);
    if (st == ST_OK)
        st = read_count(config, "head_dim", KV_MAX_HEAD_DIM, dim, &s->head_dim, err);
    if (st == ST_OK && s->head_dim > KV_MAX_HEAD_DIM)
        return err_set(err, ST_CORRUPT, "hidden_size %u over %u heads makes a head_dim above %d",
                       hidden, s->n_heads, KV_MAX_HEAD_DIM);
    return st;
}

/* What a pass reads and computes beside the attention; the workers are the ones
 * to refuse a config that is wrong in it. */
static enum status read_sizes(struct target_shape *s, const json_t *config, struct err *err)
{
    const json_t *sizes = json_object_get(config, "intermediate_size");
    const json_t *slides = json_object_get(config, "use_sliding_window");
    const json_t *window = json_object_get(config, "sliding_window");

    s->is_tied = json_is_true(json_object_get(config, "tie_word_embeddings"));
    if (json_is_integer(window) && json_integer_value(window) > 0 &&
        json_integer_value(window) <= UINT32_MAX && !json_is_false(slides))
        s->window = (uint32_t)json_integer_value(window);
    if (sizes == NULL)
        return ST_OK;
    return read_count(config, "intermediate_size", 1 << 24, 0, &s->intermediate, err);
}

static double number_or(const json_t *object, const char *key, double standard)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) && json_number_value(value) > 0 ? json_number_value(value)
                                                                 : standard;
}

/* max_position_embeddings is a trained length: linear and yarn rotation stretch one by
 * their factor (yarn its own, where it names it). What is wrong in these is for the
 * workers to refuse. */
static uint32_t positions_of(const json_t *config)
{
    static const char *const places[] = {"rope_scaling", "rope_parameters"};
    double max = number_or(config, "max_position_embeddings", 0), all = max;

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const json_t *rope = json_object_get(config, places[i]);
        const json_t *type = json_object_get(rope, "rope_type");
        const char *word = json_string_value(type ? type : json_object_get(rope, "type"));
        double own = max;
        if (word != NULL && strcmp(word, "yarn") == 0)
            own = number_or(rope, "original_max_position_embeddings", max);
        else if (word == NULL || strcmp(word, "linear") != 0)
            continue;
        own *= number_or(rope, "factor", 1);
        all = own > all ? own : all;
    }
    return max > 0 && all < UINT32_MAX ? (uint32_t)all : 0;
}

static enum status read_fields(struct target_shape *s, const json_t *config, struct err *err)
{
    uint32_t hidden = 0;
    enum status st;

    s->random_weights = json_object_get(config, RANDOM_WEIGHTS_KEY) != NULL;
    st = read_count(config, "num_hidden_layers", MSG_MAX_LAYERS, 0, &s->n_layers, err);
    if (st == ST_OK)
        st = read_count(config, "num_attention_heads", MAX_HEADS, 0, &s->n_heads, err);
    if (st == ST_OK)
        st = read_count(config, "hidden_size", 1 << 20, 0, &hidden, err);
    if (st == ST_OK)
        st = read_count(config, "vocab_size", MAX_VOCAB, 0, &s->n_vocab, err);
    if (st == ST_OK && s->n_heads > hidden)
        return err_set(err, ST_CORRUPT, "hidden_size %u is less than num_attention_heads %u",
                       hidden, s->n_heads);
    if (st == ST_OK)
        st = read_heads(s, config, hidden, err);
    s->hidden = hidden;
    s->max_positions = positions_of(config);
    return st == ST_OK ? read_sizes(s, config, err) : st;
}

static enum status read_config(struct target_shape *s, const char *path, struct err *err)
{
    char *bytes = NULL;
    size_t n_bytes = 0;
    json_error_t at;
    json_t *config;
    enum status st = whole_file_read(&bytes, &n_bytes, path, CONFIG_MAX_BYTES, err);

    if (st != ST_OK)
        return st;
    config = json_loadb(bytes, n_bytes, 0, &at);
    free(bytes);
    if (config == NULL)
        return err_set(err, ST_CORRUPT, "%s:%d:%d: %s", path, at.line, at.column, at.text);
    st = json_is_object(config) ? read_fields(s, config, err)
                                : err_set(err, ST_CORRUPT, "it is no JSON object");
    json_decref(config);
    return st == ST_OK ? st : err_in(err, st, "%s", path);
}

/* ---- weight files ---- */

static int is_weights(const struct dirent *e)
{
    size_t n = strlen(e->d_name), n_end = strlen(".safetensors");

    return n > n_end && strcmp(e->d_name + n - n_end, ".safetensors") == 0;
}

/* Sorted paths; both levels are the caller's. */
static enum status list_weights(char ***path, int *n, const char *dir, struct err *err)
{
    struct dirent **entry = NULL;

    *n = scandir(dir, &entry, is_weights, alphasort);
    if (*n < 0)
        return err_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "%s: %s", dir, strerror(errno));
    *path = mem_array((size_t)*n + 1, sizeof **path);
    for (int i = 0; i < *n; i++) {
        (*path)[i] = mem_printf("%s/%s", dir, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    return ST_OK;
}

static void free_list(char **path, int n)
{
    for (int i = 0; i < n; i++)
        free(path[i]);
    free(path);
}

/* Words for a directory without *.safetensors files. */
static enum status no_weights(const char *dir, struct err *err)
{
    if (torch_files_refuse(dir, err) != ST_OK)
        return ST_NOT_FOUND;
    return err_set(err, ST_NOT_FOUND,
                   "%s: no *.safetensors file; a Hugging Face checkpoint directory would be right",
                   dir);
}

enum status target_shape_read(struct target_shape *out, const char *dir, struct err *err)
{
    struct target_shape s = {0};
    char *config = mem_printf("%s/config.json", dir), **path = NULL;
    int n = 0;
    enum status st = read_config(&s, config, err);

    free(config);
    if (st == ST_OK)
        st = list_weights(&path, &n, dir, err);
    for (int i = 0; st == ST_OK && i < n; i++) {
        struct stat info;
        if (stat(path[i], &info) == 0)
            s.weight_bytes += (uint64_t)info.st_size;
    }
    if (st == ST_OK && n == 0)
        st = no_weights(dir, err);
    free_list(path, n);
    if (st == ST_OK)
        *out = s;
    return st;
}

enum status target_shape_check_length(const struct target_shape *s, const char *dir,
                                      uint32_t n_prompt, uint32_t n_new, struct err *err)
{
    uint64_t n = (uint64_t)n_prompt + n_new;

    if (s->max_positions == 0 || n <= s->max_positions)
        return ST_OK;
    return err_set(err, ST_INVALID,
                   "%s/config.json: max_position_embeddings gives a text %u positions, and a "
                   "prompt of %u tokens with %u new ones takes %llu; at most %u together would "
                   "be right",
                   dir, s->max_positions, n_prompt, n_new, (unsigned long long)n, s->max_positions);
}

enum status target_shape_draft(struct target_shape *out, const char *dir,
                               const struct target_shape *target, struct err *err)
{
    enum status st = target_shape_read(out, dir, err);

    if (st == ST_OK && out->n_vocab != target->n_vocab)
        return err_set(err, ST_INVALID,
                       "%s: the draft's vocabulary has %u tokens, the target's %u: they must be "
                       "equal",
                       dir, out->n_vocab, target->n_vocab);
    return st;
}

static enum status hash_file(XXH3_state_t *state, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    char *block;
    size_t n;
    enum status st = ST_OK;

    if (file == NULL)
        return err_set(err, ST_IO, "open %s: %s", path, strerror(errno));
    block = mem_alloc(BLOCK_BYTES);
    while ((n = fread(block, 1, BLOCK_BYTES, file)) > 0)
        XXH3_64bits_update(state, block, n);
    if (ferror(file))
        st = err_set(err, ST_IO, "read %s: %s", path, strerror(errno));
    free(block);
    fclose(file);
    return st;
}

enum status target_shape_fingerprint(char **out, const char *dir, struct err *err)
{
    char *config = mem_printf("%s/config.json", dir), **path = NULL;
    XXH3_state_t *state = XXH3_createState();
    int n = 0;
    enum status st;

    CHECK(state != NULL);
    XXH3_64bits_reset(state);
    st = hash_file(state, config, err);
    if (st == ST_OK)
        st = list_weights(&path, &n, dir, err);
    for (int i = 0; st == ST_OK && i < n; i++)
        st = hash_file(state, path[i], err);
    if (st == ST_OK)
        *out = mem_printf("xxh3-64:%016" PRIx64, (uint64_t)XXH3_64bits_digest(state));
    XXH3_freeState(state);
    free_list(path, n);
    free(config);
    return st;
}
