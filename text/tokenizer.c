#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "text/token_stream.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

/* Room for one call of tokenizer_encode. */
struct encoder {
    const struct tokenizer *tok;
    struct bpe_run run;
    struct text_buf text; /* normalised */
    struct pieces pieces;
    struct token_list *out;
    bool plain; /* added tokens are text like any other */
};

int32_t tokenizer_bos(const struct tokenizer *tok)
{
    return tok->begin;
}

int32_t tokenizer_eos(const struct tokenizer *tok)
{
    return tok->eos;
}

uint32_t tokenizer_n_vocab(const struct tokenizer *tok)
{
    return tok->model.vocab.n_ids;
}

bool tokenizer_is_special(const struct tokenizer *tok, int32_t id)
{
    const struct vocab_entry *entry = vocab_at(&tok->model.vocab, id);

    return entry != NULL && entry->special;
}

void tokenizer_close(struct tokenizer *tok)
{
    if (tok == NULL)
        return;
    added_set_release(&tok->added_raw);
    added_set_release(&tok->added_normalized);
    normalizer_release(&tok->norm);
    pretok_release(&tok->pretok);
    bpe_model_release(&tok->model);
    free(tok->decode.space);
    free(tok->decode.space_to);
    free(tok);
}

enum status tokenizer_add_raw(struct tokenizer *tok, const char *text, int32_t id, struct err *err)
{
    struct added_token token = {.id = id, .n = strlen(text)};
    enum status st = vocab_add(&tok->model.vocab, id, text, token.n, VOCAB_CONTROL, err);

    if (st != ST_OK)
        return st;
    tok->model.vocab.entry[id].special = true;
    token.text = mem_strdup(text);
    added_set_push(&tok->added_raw, &token);
    return ST_OK;
}

static bool is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '=';
}

/* A first line of base64, a space and a digit. */
static bool looks_like_ranks(const char *bytes, size_t n)
{
    size_t i = 0;

    while (i < n && is_base64(bytes[i]))
        i++;
    return i >= 4 && i + 1 < n && bytes[i] == ' ' && bytes[i + 1] >= '0' && bytes[i + 1] <= '9';
}

enum status tokenizer_read(struct tokenizer *tok, const char *bytes, size_t n,
                           const struct tokenizer_hints *hints, struct err *err)
{
    static const char lfs[] = "version https://git-lfs";
    size_t i = 0;

    while (i < n && (bytes[i] == ' ' || bytes[i] == '\t' || bytes[i] == '\n' || bytes[i] == '\r'))
        i++;
    if (n == 0)
        return err_set(err, ST_CORRUPT, "the file is empty");
    if (looks_like_ranks(bytes, n))
        return tiktoken_read(tok, bytes, n, hints, err);
    if (hints->pattern != NULL)
        return err_set(err, ST_INVALID, "--pattern is for tiktoken ranks, which this is not");
    if (i < n && bytes[i] == '{')
        return json_tokenizer_read(tok, bytes, n, err);
    if (n > sizeof lfs && memcmp(bytes, lfs, sizeof lfs - 1) == 0)
        return err_set(err, ST_CORRUPT, "a Git LFS pointer, not the file; run git lfs pull");
    if (bytes[0] == '\n') /* the tag of field 1, pieces */
        return spm_model_read(tok, bytes, n, err);
    return err_set(err, ST_CORRUPT,
                   "neither a tokenizer.json, nor a SentencePiece model, nor tiktoken ranks");
}

struct tokenizer *tokenizer_new(void)
{
    struct tokenizer *tok = mem_zalloc(sizeof *tok);

    tok->bos = tok->eos = tok->begin = -1;
    bpe_model_init(&tok->model);
    return tok;
}

void tokenizer_seal(struct tokenizer *tok)
{
    bpe_model_seal(&tok->model);
    added_set_seal(&tok->added_raw);
    added_set_seal(&tok->added_normalized);
}

enum status tokenizer_open_memory(struct tokenizer **out, const char *bytes, size_t n_bytes,
                                  struct err *err)
{
    const struct tokenizer_hints hints = {NULL};
    struct tokenizer *tok = tokenizer_new();
    enum status st = tokenizer_read(tok, bytes, n_bytes, &hints, err);

    if (st != ST_OK) {
        tokenizer_close(tok);
        return st;
    }
    tokenizer_seal(tok);
    *out = tok;
    return ST_OK;
}

/* Normalised text between added tokens. */
static enum status encode_gap(struct encoder *e, const char *text, size_t n, enum text_place place,
                              struct err *err)
{
    enum status st;

    if (n == 0)
        return ST_OK;
    pieces_clear(&e->pieces);
    pieces_add(&e->pieces, text, n);
    e->pieces.place = place;
    st = pretok_run(&e->tok->pretok, &e->pieces, err);
    for (size_t i = 0; st == ST_OK && i < e->pieces.n; i++) {
        size_t n_piece;
        const char *piece = pieces_at(&e->pieces, i, &n_piece);

        bpe_model_encode(&e->tok->model, &e->run, piece, n_piece, e->out);
    }
    return st;
}

static bool find_added(const struct encoder *e, const struct added_set *set, const char *text,
                       size_t n, size_t from, struct added_match *match)
{
    return !e->plain && added_set_find(set, text, n, from, match);
}

/* Text as it came, between the tokens that are found there. */
static enum status encode_segment(struct encoder *e, const char *text, size_t n,
                                  enum text_place place, struct err *err)
{
    const struct added_set *added = &e->tok->added_normalized;
    struct added_match match;
    size_t done = 0;
    enum status st;

    if (n == 0)
        return ST_OK;
    e->text.n = 0;
    text_buf_add(&e->text, text, n);
    st = normalizer_run(&e->tok->norm, &e->text, place, err);
    if (st != ST_OK || e->text.n == 0)
        return st;
    while (st == ST_OK && find_added(e, added, e->text.data, e->text.n, done, &match)) {
        st = encode_gap(e, e->text.data + done, match.start - done, place, err);
        if (st == ST_OK)
            token_list_push(e->out, match.id);
        done = match.end;
        place = TEXT_AFTER_TOKEN;
    }
    if (st == ST_OK)
        st = encode_gap(e, e->text.data + done, e->text.n - done, place, err);
    return st;
}

static enum status encode_text(struct encoder *e, const char *text, size_t n, enum text_place place,
                               struct err *err)
{
    struct added_match match;
    size_t done = 0;
    enum status st = ST_OK;

    while (st == ST_OK && find_added(e, &e->tok->added_raw, text, n, done, &match)) {
        st = encode_segment(e, text + done, match.start - done, place, err);
        if (st == ST_OK)
            token_list_push(e->out, match.id);
        done = match.end;
        place = TEXT_AFTER_TOKEN;
    }
    if (st == ST_OK)
        st = encode_segment(e, text + done, n - done, place, err);
    return st;
}

/* No rule of a sane file makes a special token of ordinary text; a strange one
 * (merges that end in it) does not get it past a caller who trusts that. */
static enum status check_plain(const struct tokenizer *tok, const struct token_list *list,
                               uint32_t from, struct err *err)
{
    for (uint32_t i = from; i < list->n; i++)
        if (tokenizer_is_special(tok, list->id[i]) && list->id[i] != tok->model.unknown)
            return err_set(err, ST_INVALID,
                           "the tokenizer makes the special token %d of ordinary text",
                           (int)list->id[i]);
    return ST_OK;
}

static enum status encode(struct encoder *e, const char *text, size_t n_bytes,
                          enum text_place place, struct err *err)
{
    uint32_t before = e->out->n;
    size_t bad;
    enum status st;

    if (n_bytes == 0)
        return ST_OK;
    if (n_bytes > TOKENIZER_MAX_TEXT_BYTES)
        return err_set(err, ST_INVALID, "a text of %zu bytes exceeds %zu", n_bytes,
                       TOKENIZER_MAX_TEXT_BYTES);
    if (!utf8_check(text, n_bytes, &bad))
        return err_set(err, ST_INVALID, "the text is not UTF-8: byte %zu is 0x%02X", bad,
                       (unsigned char)text[bad]);
    bpe_run_init(&e->run);
    text_buf_init(&e->text);
    pieces_init(&e->pieces);
    st = encode_text(e, text, n_bytes, place, err);
    if (st == ST_OK && e->plain)
        st = check_plain(e->tok, e->out, before, err);
    bpe_run_release(&e->run);
    text_buf_release(&e->text);
    pieces_release(&e->pieces);
    if (st != ST_OK)
        e->out->n = before;
    return st;
}

enum status tokenizer_encode(const struct tokenizer *tok, const char *text, size_t n_bytes,
                             struct token_list *out, struct err *err)
{
    struct encoder e = {.tok = tok, .out = out};

    return encode(&e, text, n_bytes, TEXT_AT_START, err);
}

enum status tokenizer_encode_plain(const struct tokenizer *tok, const struct plain_text *text,
                                   struct token_list *out, struct err *err)
{
    struct encoder e = {.tok = tok, .out = out, .plain = true};

    return encode(&e, text->bytes, text->n, text->place, err);
}

enum status tokenizer_decode(const struct tokenizer *tok, const int32_t *id, size_t n,
                             struct text_buf *out, struct err *err)
{
    struct token_stream stream;
    size_t before = out->n;
    enum status st = ST_OK;

    token_stream_init(&stream, tok);
    for (size_t i = 0; st == ST_OK && i < n; i++)
        st = token_stream_push(&stream, id[i], out, err);
    if (st == ST_OK)
        token_stream_flush(&stream, out);
    else
        out->n = before;
    token_stream_release(&stream);
    return st;
}
