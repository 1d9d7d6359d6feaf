#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "text/tokenizer_parts.h"
#include "text/utf8.h"

/*
 * SentencePiece's tokenizer.model (google/sentencepiece, sentencepiece_model.proto):
 * 1 pieces {1 text, 2 score, 3 type}, 2 trainer_spec, 3 normalizer_spec.
 */

#define SPACE_MARK "\xE2\x96\x81" /* U+2581 */
/* A longer one would make every position of a text look that far ahead. */
#define MAX_USER_BYTES 256

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct reader {
    const char *bytes; /* the whole file */
    size_t at;         /* next byte */
    size_t end;        /* of the message being read */
};

struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value; /* of a varint, or the bits of a fixed value */
    size_t start;   /* of the bytes */
    size_t n;
    size_t at; /* where the field begins, for error words */
};

struct trainer {
    uint64_t model_type;
    bool byte_fallback;
    bool space_as_suffix;
    int64_t unknown, bos, eos;
};

struct rules {
    bool seen; /* real models always have them; a cut file may not */
    bool add_prefix, squeeze, mark_spaces;
};

static enum status read_varint(struct reader *r, uint64_t *value, struct err *err)
{
    size_t from = r->at;

    *value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint64_t part;

        if (r->at == r->end)
            return err_set(err, ST_CORRUPT, "byte %zu: a number is cut off", from);
        part = (unsigned char)r->bytes[r->at++];
        if (shift == 63 && part > 1)
            break;
        *value |= (part & 0x7F) << shift;
        if (part < 0x80)
            return ST_OK;
    }
    return err_set(err, ST_CORRUPT, "byte %zu: a number exceeds 64 bits", from);
}

static enum status read_fixed(struct reader *r, struct field *f, size_t n, struct err *err)
{
    if (r->end - r->at < n)
        return err_set(err, ST_CORRUPT, "byte %zu: field %u is cut off", f->at, f->number);
    f->value = 0;
    for (size_t i = 0; i < n; i++)
        f->value |= (uint64_t)(unsigned char)r->bytes[r->at + i] << (8 * i);
    r->at += n;
    return ST_OK;
}

static enum status read_field(struct reader *r, struct field *f, struct err *err)
{
    uint64_t tag, n;
    enum status st;

    *f = (struct field){.at = r->at};
    st = read_varint(r, &tag, err);
    if (st != ST_OK)
        return st;
    if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF)
        return err_set(err, ST_CORRUPT, "byte %zu: not a protobuf field", f->at);
    f->number = (uint32_t)(tag >> 3);
    f->wire = (enum wire)(tag & 7);
    switch (f->wire) {
    case WIRE_VARINT:
        return read_varint(r, &f->value, err);
    case WIRE_FIXED64:
        return read_fixed(r, f, 8, err);
    case WIRE_FIXED32:
        return read_fixed(r, f, 4, err);
    case WIRE_BYTES:
        st = read_varint(r, &n, err);
        if (st != ST_OK)
            return st;
        if (n > r->end - r->at)
            return err_set(err, ST_CORRUPT,
                           "byte %zu: field %u claims %" PRIu64 " bytes, %zu are left", f->at,
                           f->number, n, r->end - r->at);
        f->start = r->at;
        f->n = (size_t)n;
        r->at += f->n;
        return ST_OK;
    default:
        return err_set(err, ST_CORRUPT, "byte %zu: field %u has wire type %d", f->at, f->number,
                       (int)f->wire);
    }
}

/* A known field in another wire type is damage, not a newer format. */
static enum status want(const struct field *f, enum wire wire, struct err *err)
{
    if (f->wire == wire)
        return ST_OK;
    return err_set(err, ST_CORRUPT, "byte %zu: field %u has wire type %d, not %d", f->at, f->number,
                   (int)f->wire, (int)wire);
}

/* Numbers that sort like the scores, highest first. */
static uint32_t order_of(float score)
{
    uint32_t bits;

    score += 0.0f; /* -0 becomes 0 */
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : 0x7FFFFFFFu - bits;
}

static enum status add_piece(struct tokenizer *tok, const char *text, size_t n, float score,
                             uint64_t type, struct err *err)
{
    static const enum vocab_kind kinds[] = {[1] = VOCAB_NORMAL,
                                            [2] = VOCAB_UNKNOWN,
                                            [3] = VOCAB_CONTROL,
                                            [4] = VOCAB_USER,
                                            [6] = VOCAB_BYTE};
    struct vocab *vocab = &tok->model.vocab;
    uint32_t id = vocab->n_ids;
    char shown[UTF8_SHOW_BYTES];
    uint8_t byte;
    size_t bad;
    enum status st;

    utf8_show(shown, text, n);
    if (n == 0 || !utf8_check(text, n, &bad))
        return err_set(err, ST_CORRUPT, "piece %u is %s", id, n ? "not UTF-8" : "empty");
    if (type == 5 || type > 6 || type == 0)
        return err_set(err, ST_UNSUPPORTED, "piece %u '%s' has type %" PRIu64 "%s", id, shown, type,
                       type == 5 ? " (UNUSED)" : "");
    if (!isfinite(score))
        return err_set(err, ST_CORRUPT, "the score of piece %u '%s' is not finite", id, shown);
    if (type == 6 && !vocab_is_byte_name(text, n, &byte))
        return err_set(err, ST_CORRUPT, "piece %u '%s' is a byte but not spelled <0xNN>", id,
                       shown);
    if (type == 4 && n > MAX_USER_BYTES)
        return err_set(err, ST_UNSUPPORTED, "piece %u '%s' is user-defined and has %zu bytes", id,
                       shown, n);
    st = vocab_add(vocab, id, text, n, kinds[type], err);
    if (st != ST_OK)
        return st;
    vocab->entry[id].order = order_of(score);
    vocab->entry[id].special = type == 2 || type == 3;
    if (type == 2 && tok->model.unknown >= 0)
        return err_set(err, ST_CORRUPT, "pieces %d and %u are both of type UNKNOWN",
                       tok->model.unknown, id);
    if (type == 2)
        tok->model.unknown = (int32_t)id;
    return ST_OK;
}

static enum status read_piece(struct tokenizer *tok, struct reader r, struct err *err)
{
    const char *text = "";
    size_t n = 0;
    float score = 0.0f;
    uint64_t type = 1;
    struct field f;
    uint32_t bits;
    enum status st = ST_OK;

    while (st == ST_OK && r.at < r.end) {
        st = read_field(&r, &f, err);
        if (st != ST_OK || f.number > 3)
            continue;
        st = want(&f, f.number == 1 ? WIRE_BYTES : f.number == 2 ? WIRE_FIXED32 : WIRE_VARINT, err);
        if (f.number == 1) {
            text = r.bytes + f.start;
            n = f.n;
        } else if (f.number == 2) {
            bits = (uint32_t)f.value;
            memcpy(&score, &bits, sizeof score);
        } else {
            type = f.value;
        }
    }
    return st == ST_OK ? add_piece(tok, text, n, score, type, err) : st;
}

static enum status read_trainer(struct trainer *t, struct reader r, struct err *err)
{
    struct field f;
    enum status st = ST_OK;

    while (st == ST_OK && r.at < r.end) {
        st = read_field(&r, &f, err);
        if (st != ST_OK)
            break;
        if (f.number == 3 || f.number == 24 || f.number == 35 || (f.number >= 40 && f.number <= 43))
            st = want(&f, WIRE_VARINT, err);
        if (f.number == 3)
            t->model_type = f.value;
        else if (f.number == 24)
            t->space_as_suffix = f.value != 0;
        else if (f.number == 35)
            t->byte_fallback = f.value != 0;
        else if (f.number == 40)
            t->unknown = (int64_t)f.value;
        else if (f.number == 41)
            t->bos = (int64_t)f.value;
        else if (f.number == 42)
            t->eos = (int64_t)f.value;
    }
    return st;
}

static enum status read_rules(struct rules *rules, struct reader r, struct err *err)
{
    struct field f;
    enum status st = ST_OK;

    rules->seen = true;
    while (st == ST_OK && r.at < r.end) {
        st = read_field(&r, &f, err);
        if (st != ST_OK)
            break;
        if (f.number == 2 || (f.number >= 3 && f.number <= 5))
            st = want(&f, f.number == 2 ? WIRE_BYTES : WIRE_VARINT, err);
        if (st == ST_OK && f.number == 2 && f.n > 0)
            st = err_set(err, ST_UNSUPPORTED,
                         "the normalizer has a character map (precompiled_charsmap), which is not "
                         "supported");
        if (f.number == 3)
            rules->add_prefix = f.value != 0;
        else if (f.number == 4)
            rules->squeeze = f.value != 0;
        else if (f.number == 5)
            rules->mark_spaces = f.value != 0;
    }
    return st;
}

static enum status push_rule(struct tokenizer *tok, enum normalizer_kind kind, const char *text,
                             struct err *err)
{
    struct normalizer_stage stage = {.kind = kind, .n_text = strlen(text)};
    enum status st = ST_OK;

    if (kind == NORM_REPLACE)
        st = pattern_open(&stage.pattern, PATTERN_LITERAL, " ", 1, err);
    if (st != ST_OK)
        return st;
    stage.text = text_copy(text, stage.n_text);
    return normalizer_push(&tok->norm, &stage, err);
}

static enum status check_id(const struct tokenizer *tok, const char *name, int64_t id,
                            struct err *err)
{
    /* Protobuf writes the int32 -1 as a 64-bit number; so it arrives here. */
    if (id == -1 || (id >= 0 && id < tok->model.vocab.n_ids))
        return ST_OK;
    return err_set(err, ST_CORRUPT, "%s is %" PRId64 ", not one of the %u pieces", name, id,
                   tok->model.vocab.n_ids);
}

static enum status finish(struct tokenizer *tok, const struct trainer *t, const struct rules *rules,
                          struct err *err)
{
    enum status st;

    if (tok->model.vocab.n_ids == 0)
        return err_set(err, ST_CORRUPT, "no pieces");
    if (t->model_type != 2)
        return err_set(err, ST_UNSUPPORTED, "model type %s is not supported (BPE is)",
                       t->model_type == 1   ? "UNIGRAM"
                       : t->model_type == 3 ? "WORD"
                       : t->model_type == 4 ? "CHAR"
                                            : "unknown");
    if (t->space_as_suffix)
        return err_set(err, ST_UNSUPPORTED, "treat_whitespace_as_suffix is not supported");
    if (!rules->seen)
        return err_set(err, ST_CORRUPT, "no normalizer_spec; the file seems cut off");
    if (tok->model.unknown < 0)
        return err_set(err, ST_CORRUPT, "no piece of type UNKNOWN");
    if (t->unknown != tok->model.unknown)
        return err_set(err, ST_CORRUPT, "unk_id is %" PRId64 " and piece %d is of type UNKNOWN",
                       t->unknown, tok->model.unknown);
    st = check_id(tok, "bos_id", t->bos, err);
    if (st == ST_OK)
        st = check_id(tok, "eos_id", t->eos, err);
    if (st == ST_OK && rules->squeeze)
        st = push_rule(tok, NORM_SQUEEZE, "", err);
    if (st == ST_OK && rules->add_prefix)
        st = push_rule(tok, NORM_PREPEND, rules->mark_spaces ? SPACE_MARK : " ", err);
    if (st == ST_OK && rules->mark_spaces)
        st = push_rule(tok, NORM_REPLACE, SPACE_MARK, err);
    if (st == ST_OK && rules->squeeze)
        st = push_rule(tok, NORM_TRIM_END, rules->mark_spaces ? SPACE_MARK : " ", err);
    if (st != ST_OK)
        return st;
    tok->bos = (int32_t)t->bos;
    tok->eos = (int32_t)t->eos;
    tok->begin = tok->bos;
    tok->model.by_text = tok->model.fall_late = tok->model.fuse_unknown = true;
    tok->model.byte_fallback = t->byte_fallback;
    tok->decode.byte_pieces = true;
    tok->decode.lead = rules->squeeze ? LEAD_MARKS : rules->add_prefix ? LEAD_MARK : LEAD_KEEP;
    tok->decode.space = text_copy(SPACE_MARK, 3);
    tok->decode.n_space = 3;
    tok->decode.space_to = text_copy(" ", 1);
    tok->decode.n_space_to = 1;
    return ST_OK;
}

enum status spm_model_read(struct tokenizer *tok, const char *bytes, size_t n, struct err *err)
{
    struct reader r = {bytes, 0, n};
    struct trainer trainer = {.model_type = 1, .bos = 1, .eos = 2};
    struct rules rules = {.add_prefix = true, .squeeze = true, .mark_spaces = true};
    enum status st = ST_OK;

    while (st == ST_OK && r.at < r.end) {
        struct field f;

        st = read_field(&r, &f, err);
        if (st == ST_OK && f.number >= 1 && f.number <= 3)
            st = want(&f, WIRE_BYTES, err);
        if (st != ST_OK || f.number > 3)
            continue;
        struct reader part = {bytes, f.start, f.start + f.n};

        if (f.number == 1)
            st = read_piece(tok, part, err);
        else if (f.number == 2)
            st = read_trainer(&trainer, part, err);
        else
            st = read_rules(&rules, part, err);
    }
    return st == ST_OK ? finish(tok, &trainer, &rules, err) : st;
}
