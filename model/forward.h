/*
 * forward.h - one pass of rows of tokens through all layers.
 *
 *   x = embed[token]
 *   x += O attend(Q n, K n, V n)          n = rmsnorm(x) * input_norm
 *   x += Down (silu(Gate m) * Up m)       m = rmsnorm(x) * post_norm
 *   logits = Head (rmsnorm(x) * norm)
 *
 * Q, K, V, O, Gate, Up and Down add a bias where the family has one; with qk_norm each head of
 * Q n and K n is normalized over head_dim before it goes on.
 *
 * The residual stream x and all activations are f32 whatever the weights' dtype is: of BF16 and
 * F16 checkpoints only the weights are rounded. q and k go to the cache without positions: rotation is the
 * cache's, which knows at which position a key is to be seen.
 */
#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include "model/model.h"
#include "model/weights.h"

/* One block of device memory, cut into rows of what a pass needs. */
struct forward_scratch {
    void *block; /* owned, DEVICE_SCRATCH */
    int n_rows;  /* that it serves */
    float *x;    /* [n_rows, hidden] residual stream */
    float *norm; /* [n_rows, hidden] */
    float *q;    /* [n_rows, n_heads, head_dim] */
    float *k, *v;
    float *attended; /* as q */
    float *gate, *up;
    float *logits; /* [min(n_rows, FORWARD_LOGIT_ROWS), n_vocab] */
    float *p;      /* the same */
};

/* Logits are computed and downloaded this many rows at a time: 33 rows of a vocabulary of 128k
 * are 17 MiB, and a verification of at most 33 rows reads the head once. */
enum { FORWARD_LOGIT_ROWS = 33 };

struct forward {
    struct device *dev;              /* borrowed */
    const struct model_config *cfg;  /* borrowed */
    const struct weights *weights;   /* borrowed */
    struct forward_scratch *scratch; /* borrowed; grown on demand */
};

/* The contract is that of model_forward. */
enum status forward_run(const struct forward *fw, const struct model_forward_args *args,
                        struct err *err);
void forward_scratch_release(struct forward_scratch *scratch, struct device *dev);

#endif
