/*
 * weights.h - the tensors of a Llama-family decoder by role, on a device.
 *
 * Names, shapes and dtypes are checked against the config. Matrices stay where the checkpoint
 * is mapped (adopted by the device); biases are converted to f32.
 */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "kernels/device.h"
#include "kernels/matmul.h"
#include "model/checkpoint.h"
#include "model/config.h"

/* A tensor in device memory: [n_out, n_in] row-major, any alignment. */
struct weight {
    const void *data;
    enum weight_type type;
    const float *bias; /* [n_out] or NULL */
};

/* Q = n_heads * head_dim, KV = n_kv_heads * head_dim, F = intermediate. */
struct weights_layer {
    struct weight input_norm; /* [hidden] */
    struct weight q, k, v;    /* [Q | KV | KV, hidden] */
    struct weight o;          /* [hidden, Q] */
    struct weight q_norm;     /* [head_dim]; data NULL without qk_norm */
    struct weight k_norm;     /* the same */
    struct weight post_norm;  /* [hidden] */
    struct weight gate, up;   /* [F, hidden] */
    struct weight down;       /* [hidden, F] */
};

struct weights {                 /* owns its mapping and what the device made of it */
    struct weight embed;         /* [n_vocab, hidden] */
    struct weight head;          /* the same; equal to `embed` if tied */
    struct weight norm;          /* [hidden] */
    struct weights_layer *layer; /* [n_layers] */
    struct device *dev;          /* borrowed */
    struct checkpoint ckpt;
    const uint8_t **data; /* [ckpt.n_files] the files' data in device memory */
    float *biases;        /* device memory of all biases, NULL if there are none */
    size_t size_bytes;    /* device memory under DEVICE_WEIGHTS */
};

/* ST_CORRUPT names the file and tensor that is missing or has the wrong shape, ST_UNSUPPORTED a
 * dtype that is not F32, F16 or BF16. Tensors that no role asks for are ignored. If
 * tie_word_embeddings is set, either embedding or head may be missing. */
enum status weights_open(struct weights *out, struct device *dev, const struct model_config *cfg,
                         const char *dir, struct err *err);
void weights_release(struct weights *w); /* zeroed or released is fine */

#endif
