#include "text/vocab.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/mem.h"
#include "text/utf8.h"

void vocab_init(struct vocab *vocab)
{
    *vocab = (struct vocab){0};
}

void vocab_release(struct vocab *vocab)
{
    free(vocab->entry);
    free(vocab->slot);
    text_buf_release(&vocab->bytes);
    vocab_init(vocab);
}

const struct vocab_entry *vocab_at(const struct vocab *vocab, int32_t id)
{
    if (id < 0 || (uint32_t)id >= vocab->n_ids || vocab->entry[id].kind == VOCAB_HOLE)
        return NULL;
    return &vocab->entry[id];
}

const char *vocab_bytes(const struct vocab *vocab, const struct vocab_entry *entry)
{
    return entry->len ? vocab->bytes.data + entry->start : "";
}

const char *vocab_printed(const struct vocab *vocab, const struct vocab_entry *entry)
{
    return entry->print_len ? vocab->bytes.data + entry->print_start : "";
}

/* Positions in the text are 32 bits. */
static enum status check_room(const struct vocab *vocab, size_t len, struct err *err)
{
    if (len > UINT32_MAX - 1 || vocab->bytes.n + len > UINT32_MAX)
        return err_set(err, ST_CORRUPT, "the vocabulary's text exceeds 4 GiB");
    return ST_OK;
}

enum status vocab_print_as(struct vocab *vocab, int32_t id, const char *text, size_t len,
                           struct err *err)
{
    struct vocab_entry *entry = &vocab->entry[id];
    enum status st = check_room(vocab, len, err);

    if (st != ST_OK)
        return st;
    entry->print_start = (uint32_t)vocab->bytes.n;
    entry->print_len = (uint32_t)len;
    text_buf_add(&vocab->bytes, text, len);
    return ST_OK;
}

/* The slot that holds these bytes, or the free one where they would go. */
static uint32_t slot_of(const struct vocab *vocab, const char *piece, size_t len)
{
    uint32_t mask = vocab->n_slots - 1;
    uint32_t at = (uint32_t)XXH3_64bits(piece, len) & mask;

    for (; vocab->slot[at] >= 0; at = (at + 1) & mask) {
        const struct vocab_entry *e = &vocab->entry[vocab->slot[at]];

        if (e->len == len && memcmp(vocab_bytes(vocab, e), piece, len) == 0)
            break;
    }
    return at;
}

int32_t vocab_find(const struct vocab *vocab, const char *piece, size_t len)
{
    if (vocab->n_slots == 0 || len > vocab->max_len)
        return -1;
    return vocab->slot[slot_of(vocab, piece, len)];
}

/* At most half of the slots are taken, so that probes stay short. */
static void grow_slots(struct vocab *vocab)
{
    uint32_t n = vocab->n_slots ? 2 * vocab->n_slots : 1024;

    free(vocab->slot);
    vocab->slot = mem_array(n, sizeof *vocab->slot);
    vocab->n_slots = n;
    memset(vocab->slot, 0xFF, n * sizeof *vocab->slot);
    for (uint32_t id = 0; id < vocab->n_ids; id++) {
        const struct vocab_entry *e = &vocab->entry[id];

        if (e->kind != VOCAB_HOLE)
            vocab->slot[slot_of(vocab, vocab_bytes(vocab, e), e->len)] = (int32_t)id;
    }
}

static void grow_ids(struct vocab *vocab, uint32_t n_ids)
{
    if (n_ids > vocab->cap_ids) {
        uint32_t cap = n_ids + n_ids / 2 + 256;

        vocab->entry = mem_resize(vocab->entry, cap, sizeof *vocab->entry);
        memset(vocab->entry + vocab->cap_ids, 0, (cap - vocab->cap_ids) * sizeof *vocab->entry);
        vocab->cap_ids = cap;
    }
    if (n_ids > vocab->n_ids)
        vocab->n_ids = n_ids;
}

enum status vocab_add(struct vocab *vocab, int64_t id, const char *piece, size_t len,
                      enum vocab_kind kind, struct err *err)
{
    char shown[UTF8_SHOW_BYTES], other[UTF8_SHOW_BYTES];
    const struct vocab_entry *taken;
    uint32_t slot;

    if (id < 0 || id >= VOCAB_MAX_IDS)
        return err_set(err, ST_CORRUPT, "token '%s' has id %" PRId64 ", not one of 0..%u",
                       utf8_show(shown, piece, len), id, VOCAB_MAX_IDS - 1);
    taken = vocab_at(vocab, (int32_t)id);
    if (taken != NULL)
        return err_set(err, ST_CORRUPT, "tokens '%s' and '%s' have the same id %" PRId64,
                       utf8_show(other, vocab_bytes(vocab, taken), taken->len),
                       utf8_show(shown, piece, len), id);
    if (check_room(vocab, len, err) != ST_OK)
        return ST_CORRUPT;
    if (2 * (vocab->n_pieces + 1) > vocab->n_slots)
        grow_slots(vocab);
    slot = slot_of(vocab, piece, len);
    if (vocab->slot[slot] >= 0)
        return err_set(err, ST_CORRUPT, "token '%s' stands under two ids, %d and %" PRId64,
                       utf8_show(shown, piece, len), vocab->slot[slot], id);

    grow_ids(vocab, (uint32_t)id + 1);
    vocab->entry[id] = (struct vocab_entry){.start = (uint32_t)vocab->bytes.n,
                                            .len = (uint32_t)len,
                                            .print_start = (uint32_t)vocab->bytes.n,
                                            .print_len = (uint32_t)len,
                                            .kind = (uint8_t)kind};
    text_buf_add(&vocab->bytes, piece, len);
    vocab->slot[slot] = (int32_t)id;
    vocab->n_pieces++;
    if (len > vocab->max_len)
        vocab->max_len = (uint32_t)len;
    return ST_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool vocab_is_byte_name(const char *piece, size_t len, uint8_t *byte)
{
    if (len != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>')
        return false;
    if (hex_digit(piece[3]) < 0 || hex_digit(piece[4]) < 0)
        return false;
    *byte = (uint8_t)(hex_digit(piece[3]) * 16 + hex_digit(piece[4]));
    return true;
}
