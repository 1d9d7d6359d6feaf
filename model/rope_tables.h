/*
 * rope_tables.h - cosine and sine of pos * inv_freq[i], [n_positions, head_dim / 2].
 *
 * inv_freq is rounded to f32 and the angle is formed in f32, as Hugging Face does (at position
 * 131071 that alone moves a cosine by 1.5e-3); cosine and sine of that angle are then accurate.
 */
#ifndef MODEL_ROPE_TABLES_H
#define MODEL_ROPE_TABLES_H

#include "kernels/device.h"
#include "model/config.h"

/* Beyond this an f32 no longer tells neighbouring positions apart. */
enum { ROPE_TABLES_MAX_POSITIONS = 1 << 24 };

struct rope_tables { /* owns both; device memory */
    uint32_t n_positions;
    float *cos, *sin;
};

/* inv_freq[i] = theta^(-2i / head_dim), changed as the config's kind says; i < head_dim / 2. */
void rope_tables_inv_freq(const struct model_config *cfg, float *inv_freq);

/* Makes tables of at least n_positions; pointers taken before are no longer valid if they grew.
 * ST_INVALID over ROPE_TABLES_MAX_POSITIONS, ST_NO_SPACE; then the old tables stay. */
enum status rope_tables_grow(struct rope_tables *tables, struct device *dev,
                             const struct model_config *cfg, uint32_t n_positions, struct err *err);
void rope_tables_release(struct rope_tables *tables, struct device *dev);

#endif
