/*
 * rope_tables.h - a * cosine and a * sine of pos * inv_freq[i], [n_positions, head_dim / 2],
 * where `a` is the attention factor of the config.
 *
 * Every step from theta to the angle is rounded to f32 in the order of Hugging Face transformers
 * 5: at position 131071 one unit in the last place of inv_freq moves an angle by up to 8e-3, and
 * the f32 product alone a cosine by 1.5e-3. Cosine and sine of that angle are then accurate.
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

/* inv_freq[i] = theta^(-2i / head_dim), changed as the config's kind says; i < head_dim / 2.
 *   yarn: r(b) = head_dim * ln(original / (2 pi b)) / (2 ln theta); lo = max(r(beta_fast), 0),
 *     hi = min(r(beta_slow), head_dim - 1), rounded outwards if `truncate`;
 *     m = 1 - clamp((i - lo) / (hi - lo), 0, 1); inv / factor * (1 - m) + inv * m
 *   llama3: wavelength w = 2 pi / inv; w < original / high: inv; w > original / low: inv / factor;
 *     else s = (original / w - low) / (high - low); (1 - s) * inv / factor + s * inv
 * The original length stands in the ramp of yarn, as in transformers today; versions before 4.5x
 * took max_position_embeddings. */
void rope_tables_inv_freq(const struct model_config *cfg, float *inv_freq);

/* Makes tables of at least n_positions, some more for later; pointers taken before are no longer valid if they grew.
 * ST_INVALID over ROPE_TABLES_MAX_POSITIONS, ST_NO_SPACE; then the old tables stay. */
enum status rope_tables_grow(struct rope_tables *tables, struct device *dev,
                             const struct model_config *cfg, uint32_t n_positions, struct err *err);
void rope_tables_release(struct rope_tables *tables, struct device *dev);

#endif
