#include "model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "kernels/kv_format.h"
#include "model/family.h"
#include "model/json_doc.h"
#include "model/json_fields.h"

/* Ranges of what can be a dense decoder at all; MAX_POSITIONS is what a float holds exactly. */
enum {
    MAX_HEADS = 1024,
    MAX_HIDDEN = 65536,
    MAX_INTERMEDIATE = 1 << 20,
    MAX_VOCAB = 1000000,
    MAX_POSITIONS = 1 << 24
};

static enum status refuse(struct json_fields *f, enum status st, const char *words)
{
    if (f->st == ST_OK)
        f->st = err_set(f->err, st, "%s: %s", f->where, words);
    return f->st;
}

/* An absent field has the family's default where there is one; a null never has. */
static uint32_t absent_or(const struct json_fields *f, const char *key, uint32_t family_default,
                          uint32_t otherwise)
{
    bool absent = json_object_get(f->object, key) == NULL;

    return absent && family_default > 0 ? family_default : otherwise;
}

/* Query heads share KV heads in equal groups. */
static void read_heads(struct json_fields *f, const struct family *family, struct model_config *cfg)
{
    struct head_defaults defaults = family_heads(family);
    uint32_t fallback;

    cfg->n_heads = json_fields_u32(f, "num_attention_heads", 1, MAX_HEADS);
    fallback = absent_or(f, "num_key_value_heads", defaults.n_kv_heads, cfg->n_heads);
    cfg->n_kv_heads = json_fields_u32_or(f, "num_key_value_heads", 1, MAX_HEADS, fallback);
    if (f->st == ST_OK && cfg->n_heads % cfg->n_kv_heads != 0)
        f->st = err_set(f->err, ST_CORRUPT,
                        "%s: num_key_value_heads %u does not divide num_attention_heads %u",
                        f->where, cfg->n_kv_heads, cfg->n_heads);
    fallback = absent_or(f, "head_dim", defaults.head_dim, 0);
    if (f->st == ST_OK && !json_fields_has(f, "head_dim") && fallback == 0 &&
        cfg->hidden % cfg->n_heads != 0)
        refuse(f, ST_CORRUPT,
               "num_attention_heads does not divide hidden_size and there is no head_dim");
    if (fallback == 0)
        fallback = cfg->hidden / cfg->n_heads;
    cfg->head_dim = json_fields_u32_or(f, "head_dim", 1, MAX_HIDDEN, fallback);
    if (f->st == ST_OK &&
        (cfg->head_dim == 0 || cfg->head_dim % 8 != 0 || cfg->head_dim > KV_MAX_HEAD_DIM))
        f->st = err_set(f->err, ST_UNSUPPORTED,
                        "%s: head_dim %u is not supported, only multiples of 8 up to %d are",
                        f->where, cfg->head_dim, KV_MAX_HEAD_DIM);
}

static void read_shape(struct json_fields *f, const struct family *family, struct model_config *cfg)
{
    cfg->hidden = json_fields_u32(f, "hidden_size", 1, MAX_HIDDEN);
    cfg->intermediate = json_fields_u32(f, "intermediate_size", 1, MAX_INTERMEDIATE);
    cfg->n_layers = json_fields_u32(f, "num_hidden_layers", 1, MODEL_MAX_LAYERS);
    cfg->n_vocab = json_fields_u32(f, "vocab_size", 1, MAX_VOCAB);
    cfg->max_positions = json_fields_u32(f, "max_position_embeddings", 1, MAX_POSITIONS);
    cfg->rms_eps = (float)json_fields_real(f, "rms_norm_eps", 1e-12, 0.1);
    read_heads(f, family, cfg);
}

static int32_t read_token(struct json_fields *f, const char *key, const json_t *value,
                          uint32_t n_vocab)
{
    json_int_t id = json_integer_value(value);

    if (f->st != ST_OK)
        return 0;
    if (!json_is_integer(value) || id < 0 || id >= (json_int_t)n_vocab) {
        f->st = err_set(f->err, ST_CORRUPT, "%s: %s must hold token ids in [0, %u)", f->where, key,
                        n_vocab);
        return 0;
    }
    return (int32_t)id;
}

/* Absent fields leave what was known. eos_token_id is an id or a list of ids. */
static void read_special(struct json_fields *f, struct model_config *cfg)
{
    const json_t *eos = json_object_get(f->object, "eos_token_id");

    if (json_fields_has(f, "bos_token_id"))
        cfg->bos =
            read_token(f, "bos_token_id", json_object_get(f->object, "bos_token_id"), cfg->n_vocab);
    if (!json_fields_has(f, "eos_token_id"))
        return;
    if (!json_is_array(eos)) {
        cfg->n_eos = 1;
        cfg->eos[0] = read_token(f, "eos_token_id", eos, cfg->n_vocab);
        return;
    }
    if (json_array_size(eos) > MODEL_MAX_EOS) {
        f->st = err_set(f->err, ST_UNSUPPORTED, "%s: eos_token_id lists %zu ids, at most %d",
                        f->where, json_array_size(eos), MODEL_MAX_EOS);
        return;
    }
    cfg->n_eos = (uint32_t)json_array_size(eos);
    for (uint32_t i = 0; i < cfg->n_eos; i++)
        cfg->eos[i] = read_token(f, "eos_token_id", json_array_get(eos, i), cfg->n_vocab);
}

static void read_config(struct json_fields *f, struct model_config *cfg)
{
    const char *act = json_fields_text_or(f, "hidden_act", "silu");

    const struct family *family = family_find(f);

    if (family == NULL)
        return;
    if (f->st == ST_OK && strcmp(act, "silu") != 0)
        f->st = err_set(f->err, ST_UNSUPPORTED, "%s: hidden_act %s is not supported, silu is",
                        f->where, json_doc_word(act).text);
    if (json_fields_has(f, "quantization_config"))
        refuse(f, ST_UNSUPPORTED, "quantization_config: quantized weights are not supported");
    read_shape(f, family, cfg);
    family_read(family, f, cfg);
    rope_config_read(&cfg->rope, f, cfg->max_positions);
    cfg->tied = json_fields_bool_or(f, "tie_word_embeddings", false);
    cfg->bos = -1;
    read_special(f, cfg);
}

/* Parses `text` and lets `read` fill a copy of *out, which is kept only if all was well. */
static enum status parse_with(struct model_config *out, const char *text, size_t n_bytes,
                              const char *name,
                              void (*read)(struct json_fields *, struct model_config *),
                              struct err *err)
{
    struct json_fields f = {.where = name, .err = err};
    struct model_config cfg = *out;
    json_t *root = NULL;
    enum status st = json_doc_parse(&root, text, n_bytes, name, err);

    if (st != ST_OK)
        return st;
    f.object = root;
    read(&f, &cfg);
    json_decref(root);
    if (f.st == ST_OK)
        *out = cfg;
    return f.st;
}

enum status model_config_parse(struct model_config *out, const char *text, size_t n_bytes,
                               const char *name, struct err *err)
{
    struct model_config cfg = {0};
    enum status st = parse_with(&cfg, text, n_bytes, name, read_config, err);

    if (st == ST_OK)
        *out = cfg;
    return st;
}

enum status model_config_parse_generation(struct model_config *inout, const char *text,
                                          size_t n_bytes, const char *name, struct err *err)
{
    return parse_with(inout, text, n_bytes, name, read_special, err);
}

static enum status read_generation(struct model_config *cfg, const char *dir, struct err *err)
{
    char *path = mem_printf("%s/generation_config.json", dir);
    size_t n_bytes = 0;
    char *text = NULL;
    enum status st = ST_OK;

    if (access(path, F_OK) == 0) /* the file is optional */
        st = whole_file_read(&text, &n_bytes, path, JSON_DOC_MAX_BYTES, err);
    if (st == ST_OK && text != NULL)
        st = model_config_parse_generation(cfg, text, n_bytes, path, err);
    free(text);
    free(path);
    return st;
}

enum status model_config_read(struct model_config *out, const char *dir, struct err *err)
{
    char *path = mem_printf("%s/config.json", dir);
    struct model_config cfg = {0};
    size_t n_bytes = 0;
    char *text = NULL;
    enum status st = whole_file_read(&text, &n_bytes, path, JSON_DOC_MAX_BYTES, err);

    if (st == ST_OK)
        st = model_config_parse(&cfg, text, n_bytes, path, err);
    if (st == ST_OK)
        st = read_generation(&cfg, dir, err);
    if (st == ST_OK)
        *out = cfg;
    free(text);
    free(path);
    return st;
}

uint32_t model_config_window(const struct model_config *cfg, uint32_t layer)
{
    CHECK(layer < cfg->n_layers);
    return cfg->slides[layer] ? cfg->sliding_window : 0;
}

enum status model_config_check_length(const struct model_config *cfg, uint64_t n_tokens,
                                      struct err *err)
{
    if (cfg->rope.max_positions == 0 || n_tokens <= cfg->rope.max_positions)
        return ST_OK;
    return err_set(err, ST_UNSUPPORTED,
                   "a text of %llu tokens: the model's dynamic rotation is served up to "
                   "max_position_embeddings = %u",
                   (unsigned long long)n_tokens, cfg->rope.max_positions);
}
