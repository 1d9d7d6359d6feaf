/*
 * model_share.h - the weights of one process's model, opened by another on the
 * same device: in device memory once.
 */
#ifndef MODEL_MODEL_SHARE_H
#define MODEL_MODEL_SHARE_H

#include "kernels/device.h"

/* The data of one safetensors file. */
struct model_share {
    struct device_share share;
    uint64_t size_bytes;
};

/* Of every file of the checkpoint that has data, in the order of the files'
 * names. Whoever opened them must be done before the model that gave them is
 * closed. */
struct model_shares {
    const struct model_share *file; /* [n], borrowed for the call */
    uint32_t n;
    uint64_t fingerprint; /* model_fingerprint of the model that gave them */
};

#endif
