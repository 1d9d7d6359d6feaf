/*
 * rope_config.h - which rotation a config asks for, checked.
 *
 * Two spellings are read: `rope_scaling` beside a top-level rope_theta (older), and
 * `rope_parameters` (newer). As in Hugging Face transformers 5, a rope_scaling that says anything
 * replaces rope_parameters as a whole; within either, rope_type stands before type, and a nested
 * rope_theta before the top-level one.
 */
#ifndef MODEL_ROPE_CONFIG_H
#define MODEL_ROPE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

struct json_fields;

/* inv[i] = theta^(-2i/d), then
 *   linear   inv / factor
 *   dynamic  theta is replaced by theta * (factor * n / max - (factor - 1))^(d / (d - 2)) for a
 *            text of n > max positions, max = max_position_embeddings. Fixed at load for n = max,
 *            where it is theta itself; longer texts are refused (model_config_check_length),
 *            because keys that were rotated with one theta cannot be read with another.
 *   yarn     between inv and inv / factor by a ramp over i (Peng et al., 2023)
 *   llama3   between inv and inv / factor by wavelength
 * rope_tables.h has the formulas. */
enum rope_kind { ROPE_DEFAULT, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_YARN, ROPE_LLAMA3 };

struct rope_config {
    enum rope_kind kind;
    double theta;                /* > 1 */
    double factor;               /* >= 1; 1 for the default kind */
    double attention_factor;     /* multiplies cosine and sine; 1 except for yarn */
    double original;             /* yarn, llama3: positions before scaling */
    double beta_fast, beta_slow; /* yarn: rotations at the ends of the ramp; fast > slow > 0 */
    bool truncate;               /* yarn: the ramp's ends are rounded outwards */
    double low_freq, high_freq;  /* llama3: original / wavelength at the ends; high > low > 0 */
    uint32_t max_positions;      /* dynamic: longest text; other kinds: 0, no limit */
};

/* Reads the fields of a config's top-level object. *out is written always; it counts only if
 * f->st is ST_OK then. */
void rope_config_read(struct rope_config *out, struct json_fields *f, uint32_t max_positions);

#endif
