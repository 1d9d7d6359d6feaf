/*
 * vocab.h - the pieces of a tokenizer: id to bytes, and bytes to id.
 */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H

#include <stdint.h>

#include "common/status.h"
#include "text/text_buf.h"

/* Largest vocabulary in use today is below 2^19; a sparse id costs an entry
 * for each hole below it, so there has to be an end. */
#define VOCAB_MAX_IDS (1u << 22)

enum vocab_kind {
    VOCAB_HOLE,    /* no piece has this id */
    VOCAB_NORMAL,  /* matches text */
    VOCAB_USER,    /* matches text before anything else does */
    VOCAB_UNKNOWN, /* stands for text without a piece */
    VOCAB_CONTROL, /* never matches text */
    VOCAB_BYTE,    /* one byte, spelled <0xNN> */
};

struct vocab_entry {
    uint32_t start;                  /* into vocab.bytes */
    uint32_t len;                    /* bytes */
    uint32_t print_start, print_len; /* what it prints, the piece itself unless told otherwise */
    uint32_t order;                  /* when pieces are merged by their text: lower goes first */
    uint8_t kind;                    /* enum vocab_kind */
    bool special;                    /* prints nothing when decoded */
    bool added;                      /* is one of the tokens cut out before encoding */
};

struct vocab {
    struct vocab_entry *entry; /* [n_ids], owned */
    uint32_t n_ids;            /* largest id + 1 */
    uint32_t cap_ids;
    uint32_t n_pieces; /* n_ids without the holes */
    uint32_t max_len;  /* bytes of the longest piece */
    struct text_buf bytes;
    int32_t *slot; /* [n_slots] ids by hash of the bytes, -1 free; owned */
    uint32_t n_slots;
};

void vocab_init(struct vocab *vocab);
void vocab_release(struct vocab *vocab);

/* Refuses ids outside 0..VOCAB_MAX_IDS-1, ids and pieces met before. */
enum status vocab_add(struct vocab *vocab, int64_t id, const char *piece, size_t len,
                      enum vocab_kind kind, struct err *err);

/* The id of these bytes, -1 when no piece is spelled so. */
int32_t vocab_find(const struct vocab *vocab, const char *piece, size_t len);

/* NULL for an id that has no piece. */
const struct vocab_entry *vocab_at(const struct vocab *vocab, int32_t id);
const char *vocab_bytes(const struct vocab *vocab, const struct vocab_entry *entry);

/* Lets a token print another text than its piece. */
enum status vocab_print_as(struct vocab *vocab, int32_t id, const char *text, size_t len,
                           struct err *err);
/* What a token prints, [entry->print_len]. */
const char *vocab_printed(const struct vocab *vocab, const struct vocab_entry *entry);

/* True when `piece` is spelled <0xNN>; *byte is then NN. */
bool vocab_is_byte_name(const char *piece, size_t len, uint8_t *byte);

#endif
