/*
 * tensor_list.h - the tensors of a shape, in the order of the layers, and the files they go to.
 *
 * Tensors fill a file until the next would make it longer than the shard size; one that is
 * longer by itself gets a file of its own.
 */
#ifndef TOOLS_SYNTH_TENSOR_LIST_H
#define TOOLS_SYNTH_TENSOR_LIST_H

#include "tools/synth/arch.h"

/* Normal: matrices, biases, embedding. Residual: what is added to the residual stream, smaller
 * by sqrt(2 * layers), so that its variance does not grow with depth. One: norms. */
enum tensor_fill { TENSOR_NORMAL, TENSOR_RESIDUAL, TENSOR_ONE };

struct tensor {
    char *name; /* owned */
    uint32_t n_dims;
    uint64_t dim[2]; /* [out, in], or [n] */
    enum tensor_fill fill;
    size_t shard;
    uint64_t begin; /* bytes from the start of its shard's data */
    uint64_t n_elements;
};

struct tensor_list {
    size_t n, n_shards;
    struct tensor *tensor; /* [n], ascending by shard, then by begin */
    uint32_t element_bytes;
    uint64_t data_bytes, n_elements; /* of all */
};

void tensor_list_make(struct tensor_list *out, const struct arch *arch, uint32_t element_bytes,
                      uint64_t shard_bytes);
void tensor_list_release(struct tensor_list *list); /* zeroed or released is fine */

/* The first tensor of shard `shard` and the one behind its last. */
void tensor_list_range(const struct tensor_list *list, size_t shard, size_t *from, size_t *to);
/* "model.safetensors" for a single file, else "model-00002-of-00003.safetensors"; owned by the
 * caller. */
char *tensor_list_shard_name(const struct tensor_list *list, size_t shard);

#endif
