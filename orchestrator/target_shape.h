/*
 * target_shape.h - the few numbers of a checkpoint that size a run, read before
 * any worker starts. The workers check config.json in full.
 */
#ifndef ORCHESTRATOR_TARGET_SHAPE_H
#define ORCHESTRATOR_TARGET_SHAPE_H

#include <stdint.h>

#include "common/status.h"

struct target_shape {
    uint32_t n_layers, n_heads, n_kv_heads, head_dim, n_vocab, hidden;
    uint32_t intermediate;  /* 0: the config leaves it out */
    uint32_t window;        /* tokens that a row sees in layers that slide; 0: none do */
    uint32_t max_positions; /* of a text, by its rotation; 0: the config does not say */
    bool is_tied;           /* the embedding is the output's matrix too */
    uint64_t weight_bytes;  /* of its *.safetensors files */
    bool random_weights;    /* made by `mspeckv synth`: whatever uses it must say so */
};

/* ST_NOT_FOUND, ST_IO, ST_CORRUPT: "DIR/config.json: what is wrong". */
enum status target_shape_read(struct target_shape *out, const char *dir, struct err *err);

/* ST_INVALID unless a text of n_prompt + n_new tokens has positions in `dir`'s model. */
enum status target_shape_check_length(const struct target_shape *s, const char *dir,
                                      uint32_t n_prompt, uint32_t n_new, struct err *err);

/* The same of a draft; ST_INVALID unless its vocabulary is the target's. */
enum status target_shape_draft(struct target_shape *out, const char *dir,
                               const struct target_shape *target, struct err *err);

/* XXH3-64 of config.json and of every *.safetensors file, whole, in the order
 * of their names: "xxh3-64:0123456789abcdef". Owned by the caller: free(). */
enum status target_shape_fingerprint(char **out, const char *dir, struct err *err);

#endif
