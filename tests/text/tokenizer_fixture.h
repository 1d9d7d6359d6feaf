/*
 * tokenizer_fixture.h - small tokenizers made on the spot: a byte-level
 * tokenizer.json, a SentencePiece model, and short ways to use them.
 */
#ifndef TESTS_TEXT_TOKENIZER_FIXTURE_H
#define TESTS_TEXT_TOKENIZER_FIXTURE_H

#include "tests/test_helpers.h"

#include "text/byte_level.h"
#include "text/tokenizer.h"

#define FIX_MARK "\xE2\x96\x81" /* U+2581 */

static inline void fix_text(struct text_buf *buf, const char *text)
{
    text_buf_add(buf, text, strlen(text));
}

/* Ids 0..255 are the bytes, 256 " t", 257 "he", 258 " the", 259 "<|end|>"
 * (special). `normalizer` and `pretok` are JSON values. */
static inline void fix_json(struct text_buf *out, const char *normalizer, const char *pretok)
{
    char part[64];

    fix_text(out, "{\"added_tokens\":[{\"id\":259,\"content\":\"<|end|>\",\"special\":true,"
                  "\"normalized\":false}],\n\"normalizer\":");
    fix_text(out, normalizer);
    fix_text(out, ",\n\"pre_tokenizer\":");
    fix_text(out, pretok);
    fix_text(out, ",\n\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},\n"
                  "\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;

        fix_text(out, byte == '"' || byte == '\\' ? "\"\\" : "\"");
        byte_level_spell(out, &byte, 1);
        snprintf(part, sizeof part, "\":%d,", b);
        fix_text(out, part);
    }
    fix_text(out, "\"\xC4\xA0t\":256,\"he\":257,\"\xC4\xA0the\":258},\n"
                  "\"merges\":[\"\xC4\xA0 t\",[\"h\",\"e\"],\"\xC4\xA0t he\"]}}");
}

static inline void fix_field(struct text_buf *out, unsigned number, const char *bytes, size_t n)
{
    char head[3] = {(char)(number << 3 | 2), (char)n, 0};

    assert_true(number < 16 && n < 128);
    text_buf_add(out, head, 2);
    text_buf_add(out, bytes, n);
}

static inline void fix_piece(struct text_buf *out, const char *text, float score, int type)
{
    struct text_buf piece;
    char tail[7] = {2 << 3 | 5, 0, 0, 0, 0, 3 << 3, (char)type};

    memcpy(tail + 1, &score, 4); /* little-endian hosts only, as all of ours */
    text_buf_init(&piece);
    fix_field(&piece, 1, text, strlen(text));
    text_buf_add(&piece, tail, sizeof tail);
    fix_field(out, 1, piece.data, piece.n);
    text_buf_release(&piece);
}

enum {
    FIX_UNK,
    FIX_BOS,
    FIX_EOS,
    FIX_BYTE,
    FIX_SPACE = 259,
    FIX_A,
    FIX_B,
    FIX_C,
    FIX_AB,
    FIX_BC,
    FIX_SPACE_A,
    FIX_USER,
    FIX_N
};

/* Ids as in the enum above; "bc" has a better score than "ab". */
static inline void fix_spm_pieces(struct text_buf *out)
{
    char name[8];

    fix_piece(out, "<unk>", 0, 2);
    fix_piece(out, "<s>", 0, 3);
    fix_piece(out, "</s>", 0, 3);
    for (unsigned b = 0; b < 256; b++) {
        snprintf(name, sizeof name, "<0x%02X>", b);
        fix_piece(out, name, 0, 6);
    }
    fix_piece(out, FIX_MARK, -10, 1);
    fix_piece(out, "a", -11, 1);
    fix_piece(out, "b", -12, 1);
    fix_piece(out, "c", -13, 1);
    fix_piece(out, "ab", -2, 1);
    fix_piece(out, "bc", -1, 1);
    fix_piece(out, FIX_MARK "a", -3, 1);
    fix_piece(out, "<u>", 0, 4);
}

static inline void fix_spm(struct text_buf *out)
{
    static const char trainer[] = {3 << 3, 2, (char)(35 << 3 | 0x80), 35 >> 4, 1};
    static const char rules[] = {3 << 3, 1, 4 << 3, 0, 5 << 3, 1};

    fix_spm_pieces(out);
    fix_field(out, 2, trainer, sizeof trainer);
    fix_field(out, 3, rules, sizeof rules);
}

/* Fails the test when the text does not give exactly these ids. */
static inline void fix_expect(const struct tokenizer *tok, const char *text, const int32_t *want,
                              uint32_t n_want)
{
    struct token_list list;
    struct err err = {{0}};

    token_list_init(&list);
    if (tokenizer_encode(tok, text, strlen(text), &list, &err) != ST_OK)
        fail_msg("'%s': %s", text, err.text);
    for (uint32_t i = 0; i < list.n && i < n_want; i++)
        if (list.id[i] != want[i])
            fail_msg("'%s': token %u is %d, not %d", text, i, list.id[i], want[i]);
    if (list.n != n_want)
        fail_msg("'%s': %u tokens, not %u", text, list.n, n_want);
    token_list_release(&list);
}

#define FIX_EXPECT(tok, text, ...)                                                                 \
    fix_expect(tok, text, (const int32_t[]){__VA_ARGS__},                                          \
               sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

/* Opens, or fails the test with the words. */
static inline struct tokenizer *fix_open(const struct text_buf *bytes)
{
    struct tokenizer *tok = NULL;
    struct err err = {{0}};

    if (tokenizer_open_memory(&tok, bytes->data, bytes->n, &err) != ST_OK)
        fail_msg("%s", err.text);
    return tok;
}

/* Fails the test unless opening is refused with `st` and words that hold
 * `part`. */
static inline void fix_refused(const char *bytes, size_t n, enum status st, const char *part)
{
    struct tokenizer *tok = NULL;
    struct err err = {{0}};
    enum status got = tokenizer_open_memory(&tok, bytes, n, &err);

    if (got != st || strstr(err.text, part) == NULL || strchr(err.text, '\n') != NULL)
        fail_msg("status %d and '%s', not %d and '%s'", got, err.text, st, part);
    assert_null(tok);
}

/* The text of n ids with a NUL behind it; the caller frees it. */
static inline char *fix_decode(const struct tokenizer *tok, const int32_t *id, size_t n)
{
    struct text_buf out;
    struct err err = {{0}};

    text_buf_init(&out);
    if (tokenizer_decode(tok, id, n, &out, &err) != ST_OK)
        fail_msg("%s", err.text);
    text_buf_add(&out, "", 1);
    return out.data;
}

#endif
