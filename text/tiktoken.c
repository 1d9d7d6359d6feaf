#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "common/mem.h"
#include "text/byte_level.h"
#include "text/tokenizer_parts.h"

/*
 * A rank file holds one "base64 rank" per line and nothing of the pattern or
 * the special tokens that go with it; those are known for the files below and
 * recognised by the XXH3-64 of the lines, each ended by a newline alone.
 */

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define PUNCTUATION  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

struct known {
    uint64_t hash;
    const char *name;
    const char *pattern;
    bool nfc;
    const char *special[10]; /* ids follow the ranks; NULL ends */
    unsigned n_reserved;     /* <|reserved_special_token_N|> follow, N from first_reserved */
    unsigned first_reserved;
    int bos, eos; /* numbers in `special`, -1 none */
};

static const struct known known_files[] = {
    {.hash = 0xe7339703bb9e9d7b,
     .name = "Llama-3",
     .pattern = CONTRACTIONS "\\p{N}{1,3}" PUNCTUATION,
     /* meta-llama/llama3, llama/tokenizer.py; 3.1 renames some of the reserved ones */
     .special = {"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
                 "<|reserved_special_token_1|>", "<|reserved_special_token_2|>",
                 "<|reserved_special_token_3|>", "<|start_header_id|>", "<|end_header_id|>",
                 "<|reserved_special_token_4|>", "<|eot_id|>"},
     .n_reserved = 246,
     .first_reserved = 5,
     .bos = 0,
     .eos = 1},
    {.hash = 0x9f288efcb5368aab,
     .name = "Qwen2",
     .pattern = CONTRACTIONS "\\p{N}" PUNCTUATION,
     .nfc = true,
     .special = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"},
     .bos = -1,
     .eos = 0},
};

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Appends the bytes; false where the text is no base64. */
static bool base64_read(struct text_buf *out, const char *text, size_t n)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;

    if (n % 4 != 0)
        return false;
    for (unsigned pad = 0; pad < 2 && n > 0 && text[n - 1] == '='; pad++)
        n--;
    for (size_t i = 0; i < n; i++) {
        int value = base64_value(text[i]);

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            text_buf_add(out, (const char[]){(char)(bits >> n_bits)}, 1);
        }
    }
    return true;
}

/* One line without its newline; ranks count up from 0. */
static enum status read_line(struct vocab *vocab, const char *line, size_t n, struct text_buf *raw,
                             struct err *err)
{
    const char *space = memchr(line, ' ', n);
    uint32_t rank = vocab->n_ids;
    struct text_buf spelled;
    char number[16];
    size_t n_number;
    enum status st;

    n_number = (size_t)snprintf(number, sizeof number, "%u", rank);
    if (space == NULL || (size_t)(line + n - space - 1) != n_number ||
        memcmp(space + 1, number, n_number) != 0)
        return err_set(err, ST_CORRUPT, "line %u is not base64, a space and %u", rank + 1, rank);
    raw->n = 0;
    if (!base64_read(raw, line, (size_t)(space - line)) || raw->n == 0)
        return err_set(err, ST_CORRUPT, "line %u does not begin with base64", rank + 1);
    text_buf_init(&spelled);
    byte_level_spell(&spelled, raw->data, raw->n);
    st = vocab_add(vocab, rank, spelled.data, spelled.n, VOCAB_NORMAL, err);
    text_buf_release(&spelled);
    if (st == ST_OK)
        vocab->entry[rank].order = rank;
    return st;
}

static enum status read_lines(struct vocab *vocab, const char *bytes, size_t n, uint64_t *hash,
                              struct err *err)
{
    XXH3_state_t *state = XXH3_createState();
    struct text_buf raw;
    enum status st = ST_OK;

    CHECK(state != NULL);
    XXH3_64bits_reset(state);
    text_buf_init(&raw);
    for (size_t at = 0, next; st == ST_OK && at < n; at = next) {
        const char *line = bytes + at, *end = memchr(line, '\n', n - at);
        size_t len = end ? (size_t)(end - line) : n - at;

        next = at + len + 1;
        if (len > 0 && line[len - 1] == '\r') /* a copy that went through Windows */
            len--;
        XXH3_64bits_update(state, line, len);
        XXH3_64bits_update(state, "\n", 1);
        st = read_line(vocab, line, len, &raw, err);
    }
    *hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    text_buf_release(&raw);
    return st;
}

/* Without one of them there are texts that no ranks spell. */
static enum status check_bytes(const struct vocab *vocab, struct err *err)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        struct text_buf spelled;
        int32_t id;

        text_buf_init(&spelled);
        byte_level_spell(&spelled, (const char[]){(char)byte}, 1);
        id = vocab_find(vocab, spelled.data, spelled.n);
        text_buf_release(&spelled);
        if (id < 0)
            return err_set(err, ST_CORRUPT,
                           "no line is of byte 0x%02x alone; ranks begin with all 256 bytes", byte);
    }
    return ST_OK;
}

static enum status add_specials(struct tokenizer *tok, const struct known *known, struct err *err)
{
    int32_t first = (int32_t)tok->model.vocab.n_ids, id = first;
    enum status st = ST_OK;

    for (int i = 0; st == ST_OK && i < 10 && known->special[i] != NULL; i++)
        st = tokenizer_add_raw(tok, known->special[i], id++, err);
    for (unsigned i = 0; st == ST_OK && i < known->n_reserved; i++) {
        char name[48];

        snprintf(name, sizeof name, "<|reserved_special_token_%u|>", known->first_reserved + i);
        st = tokenizer_add_raw(tok, name, id++, err);
    }
    tok->bos = tok->begin = known->bos < 0 ? -1 : first + known->bos;
    tok->eos = known->eos < 0 ? -1 : first + known->eos;
    return st;
}

static enum status build(struct tokenizer *tok, const char *pattern, bool nfc, struct err *err)
{
    struct pretok_stage split = {.kind = PRETOK_SPLIT, .behavior = PRETOK_ISOLATED};
    struct pretok_stage spell = {.kind = PRETOK_SPELL};
    struct normalizer_stage compose = {.kind = NORM_NFC};
    enum status st = ST_OK;

    tok->model.by_text = tok->model.whole_first = true;
    tok->decode.byte_level = tok->decode.fuse_bad = true;
    if (nfc)
        st = normalizer_push(&tok->norm, &compose, err);
    if (st == ST_OK)
        st = pattern_open(&split.pattern, PATTERN_REGEX, pattern, strlen(pattern), err);
    if (st == ST_OK)
        st = pretok_push(&tok->pretok, &split, err);
    return st == ST_OK ? pretok_push(&tok->pretok, &spell, err) : st;
}

static const struct known *find_known(uint64_t hash)
{
    for (size_t i = 0; i < sizeof known_files / sizeof known_files[0]; i++)
        if (known_files[i].hash == hash)
            return &known_files[i];
    return NULL;
}

enum status tiktoken_read(struct tokenizer *tok, const char *bytes, size_t n,
                          const struct tokenizer_hints *hints, struct err *err)
{
    const struct known *known;
    uint64_t hash;
    enum status st = read_lines(&tok->model.vocab, bytes, n, &hash, err);

    if (st != ST_OK)
        return err_in(err, st, "tiktoken ranks");
    known = find_known(hash);
    if (known == NULL && hints->pattern == NULL)
        return err_set(err, ST_UNSUPPORTED,
                       "tiktoken ranks with XXH3 %016" PRIx64 " are neither Llama-3's nor Qwen2's, "
                       "and such a file does not say how text is split; --pattern REGEX says it, "
                       "or use the model's tokenizer.json",
                       hash);
    if (known == NULL) {
        st = check_bytes(&tok->model.vocab, err);
        if (st != ST_OK)
            return err_in(err, st, "tiktoken ranks");
        st = build(tok, hints->pattern, false, err);
        return st == ST_OK ? ST_OK : err_in(err, ST_INVALID, "--pattern");
    }
    if (hints->pattern != NULL && strcmp(hints->pattern, known->pattern) != 0)
        return err_set(err, ST_INVALID, "--pattern is not that of the %s ranks, which is known",
                       known->name);
    st = build(tok, known->pattern, known->nfc, err);
    if (st == ST_OK)
        st = add_specials(tok, known, err);
    return st == ST_OK ? ST_OK : err_in(err, st, "%s ranks", known->name);
}
