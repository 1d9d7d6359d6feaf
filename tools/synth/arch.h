/*
 * arch.h - the shapes that `mspeckv synth` knows by name, as their config.json publishes them.
 */
#ifndef TOOLS_SYNTH_ARCH_H
#define TOOLS_SYNTH_ARCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

enum arch_family { ARCH_LLAMA, ARCH_MISTRAL, ARCH_QWEN2, ARCH_QWEN3 };

/* Plain: neither scaling nor rope_scaling. YaRN and llama3 take factor and original positions. */
enum arch_rope { ARCH_ROPE_PLAIN, ARCH_ROPE_YARN, ARCH_ROPE_LLAMA3 };

struct arch {
    const char *name;   /* what --arch takes */
    const char *origin; /* the published checkpoint of that shape */
    enum arch_family family;
    uint32_t hidden, intermediate, n_layers, n_heads, n_kv_heads, head_dim, n_vocab;
    uint32_t max_positions;
    double rms_eps, rope_theta;
    enum arch_rope rope;
    double rope_factor;
    uint32_t rope_original; /* original_max_position_embeddings */
    uint32_t window;        /* of sliding attention, in tokens; 0: none */
    bool tied;              /* no lm_head of its own */
};

/* NULL for an unknown name; case counts not. */
const struct arch *arch_find(const char *name);
/* The i-th known shape, NULL behind the last. */
const struct arch *arch_at(size_t i);

/* ST_INVALID names the number that no decoder of ours could load, and the range. */
enum status arch_check(const struct arch *arch, struct err *err);

#endif
