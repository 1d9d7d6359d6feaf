/*
 * embed.h - out[r] = table[token[r]] as f32.
 */
#ifndef KERNELS_EMBED_H
#define KERNELS_EMBED_H

#include <stdint.h>

#include "common/status.h"
#include "kernels/matmul.h"

struct embed_args {
    float *out;        /* [n_rows, n_cols] */
    const void *table; /* [n_vocab, n_cols] of `type`, any alignment */
    enum weight_type type;
    const int32_t *token; /* [n_rows], host memory, each in [0, n_vocab) */
    int n_rows, n_cols;
};

void embed_ref(const struct embed_args *a);
enum status embed_cpu(struct device *dev, const struct embed_args *a, struct err *err);

#endif
