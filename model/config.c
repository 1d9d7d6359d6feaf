#include "model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "kernels/kv_format.h"
#include "model/json_doc.h"
#include "model/json_fields.h"

/* Ranges of what can be a dense decoder at all; MAX_LAYERS is what messages can carry
 * (MSG_MAX_LAYERS), MAX_POSITIONS what a float holds exactly. */
enum {
    MAX_LAYERS = 256,
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

static void check_llama(struct json_fields *f, struct model_config *cfg)
{
    cfg->attention_bias = json_fields_bool_or(f, "attention_bias", false);
    cfg->mlp_bias = json_fields_bool_or(f, "mlp_bias", false);
}

/* A config without the key means a window of 4096 in that family: only an explicit null says
 * that every token is seen. */
static void check_mistral(struct json_fields *f, struct model_config *cfg)
{
    if (!json_is_null(json_object_get(f->object, "sliding_window")))
        refuse(f, ST_UNSUPPORTED,
               "MistralForCausalLM is supported only with \"sliding_window\": null");
}

/* One line per family; check() reads what only that family has. */
static const struct family {
    const char *architecture;
    void (*check)(struct json_fields *f, struct model_config *cfg);
} families[] = {
    {"LlamaForCausalLM", check_llama},
    {"MistralForCausalLM", check_mistral},
};

static void read_family(struct json_fields *f, struct model_config *cfg)
{
    const json_t *list = json_object_get(f->object, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));

    if (f->st != ST_OK)
        return;
    if (name == NULL || json_array_size(list) != 1) {
        refuse(f, ST_CORRUPT, "architectures must be an array of one name");
        return;
    }
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (strcmp(families[i].architecture, name) != 0)
            continue;
        snprintf(cfg->architecture, sizeof cfg->architecture, "%s", name);
        families[i].check(f, cfg);
        return;
    }
    f->st = err_set(f->err, ST_UNSUPPORTED,
                    "%s: architecture %s is not supported; LlamaForCausalLM and "
                    "MistralForCausalLM are",
                    f->where, json_doc_word(name).text);
}

static void read_shape(struct json_fields *f, struct model_config *cfg)
{
    cfg->hidden = json_fields_u32(f, "hidden_size", 1, MAX_HIDDEN);
    cfg->intermediate = json_fields_u32(f, "intermediate_size", 1, MAX_INTERMEDIATE);
    cfg->n_layers = json_fields_u32(f, "num_hidden_layers", 1, MAX_LAYERS);
    cfg->n_heads = json_fields_u32(f, "num_attention_heads", 1, MAX_HEADS);
    cfg->n_kv_heads = json_fields_u32_or(f, "num_key_value_heads", 1, MAX_HEADS, cfg->n_heads);
    cfg->n_vocab = json_fields_u32(f, "vocab_size", 1, MAX_VOCAB);
    cfg->max_positions = json_fields_u32(f, "max_position_embeddings", 1, MAX_POSITIONS);
    cfg->rms_eps = (float)json_fields_real(f, "rms_norm_eps", 1e-12, 0.1);

    if (f->st == ST_OK && !json_fields_has(f, "head_dim") && cfg->hidden % cfg->n_heads != 0)
        refuse(f, ST_CORRUPT,
               "num_attention_heads does not divide hidden_size and there is no head_dim");
    cfg->head_dim = json_fields_u32_or(f, "head_dim", 1, MAX_HIDDEN, cfg->hidden / cfg->n_heads);
    if (f->st == ST_OK && cfg->n_heads % cfg->n_kv_heads != 0)
        refuse(f, ST_CORRUPT, "num_key_value_heads does not divide num_attention_heads");
    if (f->st == ST_OK &&
        (cfg->head_dim == 0 || cfg->head_dim % 8 != 0 || cfg->head_dim > KV_MAX_HEAD_DIM))
        f->st = err_set(f->err, ST_UNSUPPORTED,
                        "%s: head_dim %u is not supported, only multiples of 8 up to %d are",
                        f->where, cfg->head_dim, KV_MAX_HEAD_DIM);
}

/* Kinds are told by name; `read` takes the kind's own fields. */
static void read_rope_default(struct json_fields *f, struct model_config *cfg)
{
    cfg->rope_factor = 1.0;
}

static void read_rope_linear(struct json_fields *f, struct model_config *cfg)
{
    cfg->rope_factor = json_fields_real(f, "factor", 1.0, 1e6);
}

static const struct rope_name {
    const char *name;
    enum rope_kind kind;
    void (*read)(struct json_fields *f, struct model_config *cfg);
} rope_names[] = {
    {"default", ROPE_DEFAULT, read_rope_default},
    {"linear", ROPE_LINEAR, read_rope_linear},
};

static void read_rope_kind(struct json_fields *f, struct model_config *cfg, const char *fallback)
{
    const char *name = json_fields_text_or(f, "type", fallback);

    name = json_fields_text_or(f, "rope_type", name);
    if (f->st == ST_OK && name == NULL)
        refuse(f, ST_CORRUPT, "rope_type is missing");
    if (f->st != ST_OK)
        return;
    for (size_t i = 0; i < sizeof rope_names / sizeof rope_names[0]; i++) {
        if (strcmp(rope_names[i].name, name) != 0)
            continue;
        cfg->rope = rope_names[i].kind;
        rope_names[i].read(f, cfg);
        return;
    }
    f->st =
        err_set(f->err, ST_UNSUPPORTED, "%s: rope_type %s is not supported; default and linear are",
                f->where, json_doc_word(name).text);
}

static void read_theta(struct json_fields *f, struct model_config *cfg)
{
    cfg->rope_theta = json_fields_real_or(f, "rope_theta", 1.0 + 1e-6, 1e15, cfg->rope_theta);
    /* The rotation covers whole heads only. */
    if (json_fields_real_or(f, "partial_rotary_factor", 0.0, 1.0, 1.0) != 1.0)
        refuse(f, ST_UNSUPPORTED, "partial_rotary_factor other than 1 is not supported");
}

/* rope_parameters (newer) stands before rope_scaling; both may repeat rope_theta. Only the
 * newer form may leave the kind out. */
static void read_rope(struct json_fields *f, struct model_config *cfg)
{
    bool newer = json_fields_has(f, "rope_parameters");
    const char *key = newer ? "rope_parameters" : "rope_scaling";
    const json_t *object = json_object_get(f->object, key);
    char *where = mem_printf("%s: %s", f->where, key);
    struct json_fields nested = {.object = object, .where = where, .err = f->err};

    cfg->rope_theta = 10000.0;
    cfg->rope = ROPE_DEFAULT;
    cfg->rope_factor = 1.0;
    read_theta(f, cfg);
    nested.st = f->st;
    if (json_fields_has(f, key) && !json_is_object(object)) {
        refuse(&nested, ST_CORRUPT, "is neither an object nor null");
    } else if (json_fields_has(f, key)) {
        read_theta(&nested, cfg);
        read_rope_kind(&nested, cfg, newer ? "default" : NULL);
    }
    f->st = nested.st;
    free(where);
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

    read_family(f, cfg);
    if (f->st == ST_OK && strcmp(act, "silu") != 0)
        f->st = err_set(f->err, ST_UNSUPPORTED, "%s: hidden_act %s is not supported, silu is",
                        f->where, json_doc_word(act).text);
    if (json_fields_has(f, "quantization_config"))
        refuse(f, ST_UNSUPPORTED, "quantization_config: quantized weights are not supported");
    read_shape(f, cfg);
    read_rope(f, cfg);
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
