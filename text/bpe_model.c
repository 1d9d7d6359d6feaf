#include "text/bpe_model.h"

#include <stdio.h>

#include "common/mem.h"
#include "text/utf8.h"

void bpe_model_init(struct bpe_model *model)
{
    *model = (struct bpe_model){.unknown = -1};
    vocab_init(&model->vocab);
    bpe_pairs_init(&model->pairs);
    for (int b = 0; b < 256; b++)
        model->byte_id[b] = -1;
}

void bpe_model_release(struct bpe_model *model)
{
    vocab_release(&model->vocab);
    bpe_pairs_release(&model->pairs);
}

void bpe_model_seal(struct bpe_model *model)
{
    char name[8];

    for (unsigned b = 0; b < 256; b++) {
        snprintf(name, sizeof name, "<0x%02X>", b);
        model->byte_id[b] = vocab_find(&model->vocab, name, 6);
    }
    for (uint32_t id = 0; id < model->vocab.n_ids; id++) {
        const struct vocab_entry *e = &model->vocab.entry[id];

        if (e->kind == VOCAB_USER && e->len > model->user_max_len)
            model->user_max_len = e->len;
    }
}

/* True when each of the bytes has a token of its own. */
static bool bytes_have_ids(const struct bpe_model *model, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (model->byte_id[(unsigned char)text[i]] < 0)
            return false;
    return model->byte_fallback;
}

/* Tokens that were added to the model's own vocabulary match no text here. */
static int32_t ordinary_piece(const struct bpe_model *model, const char *text, size_t n)
{
    int32_t id = vocab_find(&model->vocab, text, n);

    return id >= 0 && model->vocab.entry[id].kind != VOCAB_CONTROL ? id : -1;
}

/* The format of tokenizer.json: what has no piece becomes bytes or the unknown
 * token before merging. A pending unknown token is written when the next
 * character that has a piece comes, behind any byte tokens in between. */
static void symbols_early(const struct bpe_model *model, struct bpe_run *run, const char *text,
                          size_t n)
{
    uint32_t unknown_start = 0, unknown_len = 0;
    size_t len;

    for (size_t i = 0; i < n; i += len) {
        int32_t id;

        len = utf8_len(text + i, n - i);
        CHECK(len > 0);
        id = ordinary_piece(model, text + i, len);
        if (id < 0 && bytes_have_ids(model, text + i, len)) {
            for (size_t k = 0; k < len; k++)
                bpe_run_push(run, (uint32_t)(i + k), 1, model->byte_id[(unsigned char)text[i + k]],
                             false);
            continue;
        }
        if (id < 0 && model->unknown < 0)
            continue;
        if (unknown_len > 0 && (id >= 0 || !model->fuse_unknown)) {
            bpe_run_push(run, unknown_start, unknown_len, model->unknown, false);
            unknown_len = 0;
        }
        if (id >= 0) {
            bpe_run_push(run, (uint32_t)i, (uint32_t)len, id, false);
        } else {
            unknown_start = unknown_len ? unknown_start : (uint32_t)i;
            unknown_len += (uint32_t)len;
        }
    }
    if (unknown_len > 0)
        bpe_run_push(run, unknown_start, unknown_len, model->unknown, false);
}

/* The longest USER piece that text begins with; 0 without one. */
static size_t user_piece(const struct bpe_model *model, const char *text, size_t n, int32_t *id)
{
    size_t best = 0, len;

    for (size_t end = 0; end < n && end < model->user_max_len;) {
        const struct vocab_entry *e;
        int32_t found;

        len = utf8_len(text + end, n - end);
        CHECK(len > 0);
        end += len;
        found = vocab_find(&model->vocab, text, end);
        e = vocab_at(&model->vocab, found);
        if (e != NULL && e->kind == VOCAB_USER) {
            best = end;
            *id = found;
        }
    }
    return best;
}

/* The format of SentencePiece: a symbol per character, USER pieces whole. */
static void symbols_late(const struct bpe_model *model, struct bpe_run *run, const char *text,
                         size_t n)
{
    for (size_t i = 0, len; i < n; i += len) {
        int32_t id = -1;
        const struct vocab_entry *e;

        len = user_piece(model, text + i, n - i, &id);
        if (len > 0) {
            bpe_run_push(run, (uint32_t)i, (uint32_t)len, id, true);
            continue;
        }
        len = utf8_len(text + i, n - i);
        CHECK(len > 0);
        id = vocab_find(&model->vocab, text + i, len);
        e = vocab_at(&model->vocab, id);
        if (e != NULL && e->kind != VOCAB_NORMAL)
            id = -1;
        bpe_run_push(run, (uint32_t)i, (uint32_t)len, id, false);
    }
}

static void emit(const struct bpe_model *model, const struct bpe_run *run, const char *text,
                 struct token_list *out)
{
    bool after_unknown = false;

    for (uint32_t i = 0; i < run->n; i++) {
        const struct bpe_symbol *s = &run->symbol[i];

        if (s->len == 0)
            continue;
        if (s->id >= 0) {
            token_list_push(out, s->id);
            after_unknown = false;
        } else if (bytes_have_ids(model, text + s->start, s->len)) {
            for (uint32_t k = 0; k < s->len; k++)
                token_list_push(out, model->byte_id[(unsigned char)text[s->start + k]]);
            after_unknown = false;
        } else if (model->unknown >= 0) {
            if (!after_unknown || !model->fuse_unknown)
                token_list_push(out, model->unknown);
            after_unknown = true;
        }
    }
}

/* The piece that is spelled like the whole text; -1 for none. Added tokens were
 * looked for before: what is left of them is text. */
static int32_t whole_piece(const struct bpe_model *model, const char *text, size_t n)
{
    int32_t id = model->whole_first ? vocab_find(&model->vocab, text, n) : -1;
    const struct vocab_entry *e = vocab_at(&model->vocab, id);

    return e != NULL && !e->added && !e->special ? id : -1;
}

void bpe_model_encode(const struct bpe_model *model, struct bpe_run *run, const char *text,
                      size_t n, struct token_list *out)
{
    struct bpe_rules rules = {&model->vocab, model->by_text ? NULL : &model->pairs};
    int32_t whole = whole_piece(model, text, n);

    CHECK(n <= INT32_MAX);
    if (whole >= 0) {
        token_list_push(out, whole);
        return;
    }
    bpe_run_clear(run);
    if (model->fall_late)
        symbols_late(model, run, text, n);
    else
        symbols_early(model, run, text, n);
    bpe_merge(run, &rules, text);
    emit(model, run, text, out);
}
