/*
 * model.h - a Llama-family decoder from a Hugging Face checkpoint directory.
 *
 * Weights stay mapped where the file lies (adopted by the device); the forward
 * pass knows nothing of where KV lives: it hands each layer's q, k, v to a
 * cache, which stores them and computes attention.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "kernels/density.h"
#include "kernels/device.h"
#include "model/config.h"
#include "model/model_share.h"

struct model; /* owns its mapping; borrows the device */

/* Loads config.json, generation_config.json if there, and the safetensors
 * file or shards of `dir`. Everything in them is checked before it is used:
 * ST_CORRUPT names file and field, ST_UNSUPPORTED the architecture or option. */
enum status model_open(struct model **out, struct device *dev, const char *dir, struct err *err);
/* The same with the weights that another process's model holds on this device: the files of
 * `dir` are mapped and checked as always, their data are not read. ST_CORRUPT when they are not
 * the files of that model. */
enum status model_open_shared(struct model **out, struct device *dev, const char *dir,
                              const struct model_shares *shares, struct err *err);
void model_close(struct model *model); /* NULL is fine */

/* What model_open_shared of another process takes: *n of at most `cap` shares. ST_NO_SPACE: there
 * are more. Needs device_can_share. */
enum status model_export(const struct model *model, struct model_share *out, uint32_t cap,
                         uint32_t *n, struct err *err);

const struct model_config *model_config(const struct model *model);
size_t model_weight_bytes(const struct model *model);
/* XXH3-64 of the config and of the safetensors headers (not the data), for manifests. */
uint64_t model_fingerprint(const struct model *model);
/* Cosine and sine by position, at least [n_positions, head_dim / 2], device memory. Grown on
 * demand: both are borrowed until a later call asks for more positions (then take them anew) or
 * model_close. ST_INVALID over 2^24 positions. Not thread-safe. */
enum status model_rope_tables(struct model *model, uint32_t n_positions, const float **out_cos,
                              const float **out_sin, struct err *err);

/* What the forward pass asks of a KV cache, once per layer and call. */
struct model_attend_args {
    int layer;
    int n_rows;
    const uint32_t *pos; /* [n_rows] absolute positions, host memory */
    float *q;            /* [n_rows, n_heads, head_dim], not rotated; may be overwritten */
    float *k;            /* [n_rows, n_kv_heads, head_dim], not rotated; may be overwritten */
    const float *v;      /* [n_rows, n_kv_heads, head_dim] */
    float *out;          /* [n_rows, n_heads, head_dim] */
};

struct model_cache {
    void *self;
    enum status (*attend)(void *self, const struct model_attend_args *args, struct err *err);
};

struct model_forward_args {
    const int32_t *token; /* [n_rows], host memory */
    const uint32_t *pos;  /* [n_rows], host memory, ascending */
    int n_rows;           /* > 0, any number; scratch grows with it */
    struct model_cache cache;
    float *logits;   /* host memory [n_rows - logits_from, n_vocab], or NULL for none */
    int logits_from; /* first row whose logits or law are wanted */
    /* Host memory [n_rows - logits_from, n_vocab], or NULL: the law of every such row, as
     * density_from_logits gives it, computed where the logits lie. A row without a law has NaN in
     * its first element. Registered memory (device.h) is written directly. */
    float *p;
    struct density_params law; /* with p only */
};

/* One pass over all layers. A row's logits depend on its own token, position
 * and what its attention sees, never on the number of rows. ST_CORRUPT if a
 * token is not below n_vocab. */
enum status model_forward(struct model *model, const struct model_forward_args *args,
                          struct err *err);

#endif
