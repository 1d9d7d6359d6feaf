/*
 * bpe_model.h - a vocabulary and its merges: one piece of text to token ids.
 */
#ifndef TEXT_BPE_MODEL_H
#define TEXT_BPE_MODEL_H

#include "text/bpe_merge.h"
#include "text/token_list.h"
#include "text/vocab.h"

struct bpe_model {
    struct vocab vocab;
    struct bpe_pairs pairs;
    bool by_text;     /* merge whatever spells a piece, by its order, not by `pairs` */
    bool fall_late;   /* text without a piece falls to bytes after merging, not before */
    bool whole_first; /* a text that is a piece as a whole is that piece (ignore_merges) */
    bool byte_fallback;
    bool fuse_unknown;     /* neighbours without a piece share one unknown token */
    int32_t unknown;       /* -1: text without a piece disappears, as the format says */
    int32_t byte_id[256];  /* of <0xNN>, -1 where there is none */
    uint32_t user_max_len; /* bytes of the longest USER piece, 0 without any */
};

void bpe_model_init(struct bpe_model *model);
void bpe_model_release(struct bpe_model *model);
/* To be called after the last vocab_add. */
void bpe_model_seal(struct bpe_model *model);

/* Appends the ids of well-formed UTF-8 of at most 2 GiB; `run` is room. */
void bpe_model_encode(const struct bpe_model *model, struct bpe_run *run, const char *text,
                      size_t n, struct token_list *out);

#endif
