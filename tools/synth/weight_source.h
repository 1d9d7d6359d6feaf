/*
 * weight_source.h - seeded random weights: element i of a tensor is a pure function of the seed,
 * the tensor's name and i, whatever files, threads and pieces it is written in.
 *
 * 16 bits of Philox choose one of 65536 quantiles of a normal distribution, (k + 1/2) / 65536:
 * values reach out to 4.3 deviations, the mean is exactly 0. The quantiles are kept in a table
 * of the output's own dtype, so that a value costs two bytes of random bits and one look-up.
 */
#ifndef TOOLS_SYNTH_WEIGHT_SOURCE_H
#define TOOLS_SYNTH_WEIGHT_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "tools/synth/tensor_list.h"

enum weight_dtype { WEIGHT_DTYPE_BF16, WEIGHT_DTYPE_F16, WEIGHT_DTYPE_F32, WEIGHT_DTYPES };

/* Elements that one Philox block makes; pieces of a tensor begin at multiples of it. */
enum { WEIGHT_LANES = 8 };

struct weight_source; /* owns its tables */

/* Deviation 0.02 (initializer_range of the family); residual tensors 0.02 / sqrt(2 * layers). */
void weight_source_open(struct weight_source **out, enum weight_dtype dtype, uint64_t seed,
                        uint32_t n_layers);
void weight_source_close(struct weight_source *src); /* NULL is fine */

/* Elements first .. first + n - 1 of tensor `t` in the source's dtype, little-endian.
 * `first` is a multiple of WEIGHT_LANES. Threads may share the source. */
void weight_source_fill(const struct weight_source *src, const struct tensor *t, uint64_t first,
                        size_t n, void *out);

uint32_t weight_dtype_bytes(enum weight_dtype dtype);
const char *weight_dtype_name(enum weight_dtype dtype);  /* "BF16", as in safetensors */
const char *weight_dtype_torch(enum weight_dtype dtype); /* "bfloat16", as in config.json */

#endif
