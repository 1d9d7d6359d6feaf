/*
 * config.h - what config.json says about a model, checked.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

enum { MODEL_MAX_EOS = 8 };

/* default: theta^(-2i/d). linear: the same divided by factor. The other kinds are refused by
 * name until they are built. */
enum rope_kind { ROPE_DEFAULT, ROPE_LINEAR };

/* Every number is within a sane range, and head_dim is a multiple of 8 up to KV_MAX_HEAD_DIM. */
struct model_config {
    char architecture[64]; /* "LlamaForCausalLM" */
    uint32_t n_layers, n_heads, n_kv_heads, head_dim;
    uint32_t hidden, intermediate, n_vocab, max_positions;
    float rms_eps;
    double rope_theta, rope_factor;
    enum rope_kind rope;
    bool tied; /* one matrix serves as embedding and head */
    bool attention_bias, mlp_bias;
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

#endif
