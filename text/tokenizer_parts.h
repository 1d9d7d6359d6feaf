/*
 * tokenizer_parts.h - what a tokenizer consists of, for the files of this
 * folder that build one from a file's bytes.
 */
#ifndef TEXT_TOKENIZER_PARTS_H
#define TEXT_TOKENIZER_PARTS_H

#include "text/added_set.h"
#include "text/bpe_model.h"
#include "text/normalizer.h"
#include "text/pretok.h"

/* What the beginning of the decoded text loses. */
enum decode_lead {
    LEAD_KEEP,
    LEAD_SPACES,      /* its first `n_strip` spaces */
    LEAD_FIRST_PIECE, /* every `space` of the first piece */
    LEAD_MARK,        /* the `space` that the first piece begins with */
    LEAD_MARKS,       /* the same, for each piece until something is printed */
};

/* How the pieces of ids become text again. */
struct decode_rules {
    bool byte_level;  /* pieces are spelled by byte_level.h */
    bool byte_pieces; /* <0xNN> is a byte */
    bool fuse_bad;    /* one U+FFFD per cut-off character, otherwise one per byte */
    char *space;      /* [n_space] this text becomes `space_to`; NULL none; owned */
    size_t n_space;
    char *space_to; /* [n_space_to], owned */
    size_t n_space_to;
    enum decode_lead lead;
    unsigned n_strip;
};

struct tokenizer {
    struct added_set added_raw;        /* found in the text as it came */
    struct normalizer norm;            /* for what lies between those */
    struct added_set added_normalized; /* found in the normalised text */
    struct pretok pretok;              /* for what lies between those */
    struct bpe_model model;            /* for each piece of it */
    struct decode_rules decode;
    int32_t bos;      /* named as such, whether or not a text begins with it; -1 none */
    int32_t eos;      /* -1 none */
    int32_t begin;    /* what every text begins with, -1 nothing */
    bool lists_added; /* the file has a list of added tokens; no other file adds to it */
};

/* What a caller knows beyond the bytes. */
struct tokenizer_hints {
    const char *pattern; /* splits the text of tiktoken ranks; NULL: known ranks only */
};

/* Each fills an empty tokenizer from the bytes of one kind of file; what it
 * has built so far is the tokenizer's also on failure. */
enum status spm_model_read(struct tokenizer *tok, const char *bytes, size_t n, struct err *err);
enum status json_tokenizer_read(struct tokenizer *tok, const char *bytes, size_t n,
                                struct err *err);
enum status tiktoken_read(struct tokenizer *tok, const char *bytes, size_t n,
                          const struct tokenizer_hints *hints, struct err *err);

/* From bytes to a tokenizer that can be used: read, config files, seal. */
struct tokenizer *tokenizer_new(void);
enum status tokenizer_read(struct tokenizer *tok, const char *bytes, size_t n,
                           const struct tokenizer_hints *hints, struct err *err);
void tokenizer_seal(struct tokenizer *tok);

/* Adds a whole token that is cut out of the text as it came. ST_CORRUPT if its id
 * or its text is in the vocabulary already. */
enum status tokenizer_add_raw(struct tokenizer *tok, const char *text, int32_t id, struct err *err);

#endif
