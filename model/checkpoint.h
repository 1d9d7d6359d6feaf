/*
 * checkpoint.h - the tensors of a checkpoint directory: model.safetensors, or the shards that
 * model.safetensors.index.json lists.
 *
 * Index and shards must agree: each listed tensor lies in the file named for it, no shard holds
 * one that is listed elsewhere or not at all, and shard names stay in the directory.
 */
#ifndef MODEL_CHECKPOINT_H
#define MODEL_CHECKPOINT_H

#include "model/safetensors.h"

enum { CHECKPOINT_MAX_FILES = 1024 };

struct checkpoint { /* owns its files */
    size_t n_files;
    struct safetensors *file; /* [n_files], ascending by path */
};

/* ST_NOT_FOUND if the directory holds neither, or a listed shard is not there. */
enum status checkpoint_open(struct checkpoint *out, const char *dir, struct err *err);
void checkpoint_release(struct checkpoint *ckpt); /* zeroed or released is fine */

/* NULL if no file has it; *file_index tells which one does. */
const struct safetensors_entry *checkpoint_find(const struct checkpoint *ckpt, const char *name,
                                                size_t *file_index);

#endif
