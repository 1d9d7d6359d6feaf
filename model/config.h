/*
 * config.h - what config.json says about a model, checked.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "model/rope_config.h"

/* MODEL_MAX_LAYERS is what messages can carry (MSG_MAX_LAYERS). */
enum { MODEL_MAX_EOS = 8, MODEL_MAX_LAYERS = 256 };

/* Every number is within a sane range, and head_dim is a multiple of 8 up to KV_MAX_HEAD_DIM. */
struct model_config {
    char architecture[64]; /* "LlamaForCausalLM"; one of family.h */
    uint32_t n_layers, n_heads, n_kv_heads, head_dim;
    uint32_t hidden, intermediate, n_vocab, max_positions;
    float rms_eps;
    struct rope_config rope;
    bool tied;             /* one matrix serves as embedding and head */
    bool qkv_bias, o_bias; /* of the attention's projections */
    bool mlp_bias;
    bool qk_norm;            /* RMSNorm of each head of q and k before the rotation */
    uint32_t sliding_window; /* tokens; 0: none. Ask model_config_window */
    bool slides[MODEL_MAX_LAYERS];
    int32_t bos; /* -1: none */
    uint32_t n_eos;
    int32_t eos[MODEL_MAX_EOS];
};

/* config.json and, where it is there, generation_config.json of `dir`. ST_CORRUPT names file
 * and field, ST_UNSUPPORTED the architecture or option. */
enum status model_config_read(struct model_config *out, const char *dir, struct err *err);
/* From text, for tests and fuzzing; `name` stands in messages. */
enum status model_config_parse(struct model_config *out, const char *text, size_t n_bytes,
                               const char *name, struct err *err);
/* The text of generation_config.json: its bos and eos replace those of a parsed config. */
enum status model_config_parse_generation(struct model_config *inout, const char *text,
                                          size_t n_bytes, const char *name, struct err *err);

/* How many of the newest tokens a query of `layer` sees, itself included; 0: all of them. */
uint32_t model_config_window(const struct model_config *cfg, uint32_t layer);

/* ST_UNSUPPORTED if a text of n_tokens needs another rotation than the one fixed at load. */
enum status model_config_check_length(const struct model_config *cfg, uint64_t n_tokens,
                                      struct err *err);

#endif
