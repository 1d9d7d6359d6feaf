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
#include "model/model_share.h"

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

/* With `shares` the files' data are opened there instead of being adopted (shares as for
 * model_open_shared), else NULL. ST_CORRUPT names the file and tensor that is missing or has the wrong shape, ST_UNSUPPORTED a
 * dtype that is not F32, F16 or BF16. Tensors that no role asks for are ignored. If
 * tie_word_embeddings is set, either embedding or head may be missing. */
enum status weights_open(struct weights *out, struct device *dev, const struct model_config *cfg,
                         const char *dir, const struct model_shares *shares, struct err *err);
/* One share for each file that has data. ST_NO_SPACE: more than `cap`. */
enum status weights_export(const struct weights *w, struct model_share *out, uint32_t cap,
                           uint32_t *n, struct err *err);
void weights_release(struct weights *w); /* zeroed or released is fine */

#endif
