/*
 * config_text.h - a small valid config.json, patched, and what is expected of it.
 */
#ifndef TESTS_MODEL_CONFIG_TEXT_H
#define TESTS_MODEL_CONFIG_TEXT_H

#include <jansson.h>

#include "model/config.h"
#include "tests/test_helpers.h"

static const char config_text[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64,\"intermediate_size\":172,"
    "\"num_hidden_layers\":5,\"num_attention_heads\":8,\"vocab_size\":512,"
    "\"max_position_embeddings\":512,\"rms_norm_eps\":1e-5}";

static inline enum status config_text_parse(struct model_config *cfg, const char *text,
                                            struct err *err)
{
    return model_config_parse(cfg, text, strlen(text), "config.json", err);
}

/* `config_text` with the keys of the JSON object `patch` set; the caller frees it. */
static inline char *config_text_patched(const char *patch)
{
    json_t *root = json_loads(config_text, 0, NULL), *more = json_loads(patch, 0, NULL);
    char *text;

    assert_non_null(root);
    assert_non_null(more);
    assert_int_equal(json_object_update(root, more), 0);
    text = json_dumps(root, 0);
    json_decref(root);
    json_decref(more);
    return text;
}

/* Both take the text and free it. */
static inline struct model_config config_text_accept(char *text)
{
    struct model_config cfg;
    struct err err = {{0}};

    if (config_text_parse(&cfg, text, &err) != ST_OK)
        fail_msg("%s: %s", text, err.text);
    free(text);
    return cfg;
}

static inline void config_text_refuse(char *text, enum status wanted, const char *words)
{
    struct model_config cfg;
    struct err err = {{0}};
    enum status st = config_text_parse(&cfg, text, &err);

    if (st != wanted || strstr(err.text, words) == NULL || strchr(err.text, '\n') != NULL ||
        strstr(err.text, "config.json") != err.text)
        fail_msg("%s gave status %d: %s; wanted %d: %s", text, (int)st, err.text, (int)wanted,
                 words);
    free(text);
}

#endif
