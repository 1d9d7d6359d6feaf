#include "model/family.h"

#include <stdio.h>
#include <string.h>

#include "model/json_doc.h"
#include "model/json_fields.h"

/* What transformers takes where the key is absent; a null says that there is no window. */
enum { DEFAULT_WINDOW = 4096, DEFAULT_MAX_WINDOW_LAYERS = 28, MAX_WINDOW = 1 << 24 };

struct family {
    const char *architecture;
    void (*read)(struct json_fields *f, struct model_config *cfg);
};

static uint32_t read_window(struct json_fields *f)
{
    if (json_object_get(f->object, "sliding_window") == NULL)
        return DEFAULT_WINDOW;
    return json_fields_u32_or(f, "sliding_window", 1, MAX_WINDOW, 0);
}

/* `slides` from layer_types; ST_UNSUPPORTED for kinds of attention that are not built. */
static void read_layer_types(struct json_fields *f, struct model_config *cfg)
{
    const json_t *list = json_object_get(f->object, "layer_types");

    if (f->st == ST_OK && (!json_is_array(list) || json_array_size(list) != cfg->n_layers))
        f->st = err_set(f->err, ST_CORRUPT, "%s: layer_types must be an array of %u names",
                        f->where, cfg->n_layers);
    for (uint32_t i = 0; f->st == ST_OK && i < cfg->n_layers; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        cfg->slides[i] = name != NULL && strcmp(name, "sliding_attention") == 0;
        if (name == NULL || (!cfg->slides[i] && strcmp(name, "full_attention") != 0))
            f->st = err_set(f->err, ST_UNSUPPORTED,
                            "%s: layer_types[%u] %s is not supported; full_attention and "
                            "sliding_attention are",
                            f->where, i, json_doc_word(name != NULL ? name : "(no name)").text);
        else if (cfg->slides[i] && cfg->sliding_window == 0)
            f->st = err_set(f->err, ST_CORRUPT,
                            "%s: layer_types[%u] is sliding_attention, but the config turns no "
                            "sliding_window on",
                            f->where, i);
    }
}

/* These families know one kind of layer: a list that says otherwise is another architecture's. */
static void check_layer_types(struct json_fields *f, struct model_config *cfg)
{
    bool slides = cfg->sliding_window > 0;

    if (json_fields_has(f, "layer_types"))
        read_layer_types(f, cfg);
    for (uint32_t i = 0; json_fields_has(f, "layer_types") && i < cfg->n_layers; i++) {
        if (f->st == ST_OK && cfg->slides[i] != slides)
            f->st = err_set(f->err, ST_UNSUPPORTED,
                            "%s: layer_types[%u]: %s has %s attention in every layer", f->where, i,
                            cfg->architecture, slides ? "sliding" : "full");
    }
    for (uint32_t i = 0; i < cfg->n_layers; i++)
        cfg->slides[i] = slides;
}

static void read_llama(struct json_fields *f, struct model_config *cfg)
{
    cfg->qkv_bias = cfg->o_bias = json_fields_bool_or(f, "attention_bias", false);
    cfg->mlp_bias = json_fields_bool_or(f, "mlp_bias", false);
    check_layer_types(f, cfg);
}

static void read_mistral(struct json_fields *f, struct model_config *cfg)
{
    cfg->sliding_window = read_window(f);
    check_layer_types(f, cfg);
}

/* A window has to be turned on, and is that of the upper layers unless layer_types says which. */
static void read_qwen_window(struct json_fields *f, struct model_config *cfg)
{
    uint32_t from =
        json_fields_u32_or(f, "max_window_layers", 0, MAX_WINDOW, DEFAULT_MAX_WINDOW_LAYERS);

    if (json_fields_bool_or(f, "use_sliding_window", false))
        cfg->sliding_window = read_window(f);
    for (uint32_t i = 0; i < cfg->n_layers; i++)
        cfg->slides[i] = cfg->sliding_window > 0 && i >= from;
    if (json_fields_has(f, "layer_types"))
        read_layer_types(f, cfg);
}

/* Biases of q, k and v whatever attention_bias says. */
static void read_qwen2(struct json_fields *f, struct model_config *cfg)
{
    cfg->qkv_bias = true;
    read_qwen_window(f, cfg);
}

static void read_qwen3(struct json_fields *f, struct model_config *cfg)
{
    cfg->qkv_bias = cfg->o_bias = json_fields_bool_or(f, "attention_bias", false);
    cfg->qk_norm = true;
    read_qwen_window(f, cfg);
}

static const struct family families[] = {
    {"LlamaForCausalLM", read_llama},
    {"MistralForCausalLM", read_mistral},
    {"Qwen2ForCausalLM", read_qwen2},
    {"Qwen3ForCausalLM", read_qwen3},
};

const struct family *family_find(struct json_fields *f)
{
    const json_t *list = json_object_get(f->object, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));

    if (f->st != ST_OK)
        return NULL;
    if (name == NULL || json_array_size(list) != 1) {
        f->st =
            err_set(f->err, ST_CORRUPT, "%s: architectures must be an array of one name", f->where);
        return NULL;
    }
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (strcmp(families[i].architecture, name) == 0)
            return &families[i];
    }
    f->st = err_set(f->err, ST_UNSUPPORTED,
                    "%s: architecture %s is not supported; LlamaForCausalLM, MistralForCausalLM, "
                    "Qwen2ForCausalLM and Qwen3ForCausalLM are",
                    f->where, json_doc_word(name).text);
    return NULL;
}

struct head_defaults family_heads(const struct family *family)
{
    return head_defaults_of(family->architecture);
}

void family_read(const struct family *family, struct json_fields *f, struct model_config *cfg)
{
    snprintf(cfg->architecture, sizeof cfg->architecture, "%s", family->architecture);
    family->read(f, cfg);
}
