/*
 * tokenizer_copy.h - the tokenizer files that a synthetic checkpoint gets.
 */
#ifndef TOOLS_SYNTH_TOKENIZER_COPY_H
#define TOOLS_SYNTH_TOKENIZER_COPY_H

#include <stdint.h>

#include "common/status.h"

struct tokenizer_copy {
    const char *from; /* a file or a directory, as tokenizer_open takes it */
    uint32_t n_ids;   /* largest id + 1 */
    int32_t bos, eos; /* -1: none */
};

/* Opens it, so that it is known to work. ST_INVALID if it has ids of n_vocab or above. */
enum status tokenizer_copy_check(struct tokenizer_copy *out, const char *from, uint32_t n_vocab,
                                 struct err *err);
/* Into the directory `to`, with the files beside it that tokenizer and chat template read; a single
 * file becomes tokenizer.json or tokenizer.model. */
enum status tokenizer_copy_write(const struct tokenizer_copy *copy, const char *to,
                                 struct err *err);

#endif
