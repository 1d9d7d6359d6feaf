/*
 * head_defaults.h - what a config.json means that leaves heads out, by architecture, as Hugging
 * Face transformers 5 has it. Here because whoever plans memory must count what the model counts.
 */
#ifndef COMMON_HEAD_DEFAULTS_H
#define COMMON_HEAD_DEFAULTS_H

#include <stdint.h>

/* 0 says that the value follows from others: as many KV heads as query heads, and a head of
 * hidden_size / num_attention_heads. A null in the file always says that. */
struct head_defaults {
    uint32_t n_kv_heads; /* of an absent num_key_value_heads */
    uint32_t head_dim;   /* of an absent head_dim */
};

/* Zeros for an architecture that has no defaults of its own, for an unknown one and for NULL. */
struct head_defaults head_defaults_of(const char *architecture);

#endif
