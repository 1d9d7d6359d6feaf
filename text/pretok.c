#include "text/pretok.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "text/byte_level.h"

struct span {
    size_t start, end;
    bool is_match;
};

/* The spans of one piece; matches and what lies between them, in order. */
struct spans {
    struct span *at; /* [n], owned */
    size_t n, cap;
};

void pretok_init(struct pretok *pretok)
{
    *pretok = (struct pretok){0};
}

static void stage_release(const struct pretok_stage *stage)
{
    pattern_close(stage->pattern);
    free(stage->text);
}

void pretok_release(struct pretok *pretok)
{
    for (unsigned i = 0; i < pretok->n; i++)
        stage_release(&pretok->stage[i]);
    pretok_init(pretok);
}

enum status pretok_push(struct pretok *pretok, const struct pretok_stage *stage, struct err *err)
{
    if (pretok->n == PRETOK_MAX_STAGES) {
        stage_release(stage);
        return err_set(err, ST_UNSUPPORTED, "more than %d pre-tokenizer stages", PRETOK_MAX_STAGES);
    }
    pretok->stage[pretok->n++] = *stage;
    return ST_OK;
}

static void spans_push(struct spans *spans, size_t start, size_t end, bool is_match)
{
    if (spans->n == spans->cap) {
        spans->cap = spans->cap ? 2 * spans->cap : 64;
        spans->at = mem_resize(spans->at, spans->cap, sizeof *spans->at);
    }
    spans->at[spans->n++] = (struct span){start, end, is_match};
}

static enum status find_spans(const struct pretok_stage *stage, struct pattern_scan *scan,
                              const char *text, size_t n, struct spans *spans, struct err *err)
{
    size_t done = 0, start, end;
    bool found;
    enum status st;

    spans->n = 0;
    pattern_scan_start(scan, text, n);
    while ((st = pattern_scan_next(scan, &start, &end, &found, err)) == ST_OK && found) {
        if (start > done)
            spans_push(spans, done, start, stage->invert);
        spans_push(spans, start, end, !stage->invert);
        done = end;
    }
    if (st == ST_OK && n > done)
        spans_push(spans, done, n, stage->invert);
    return st;
}

/* Whether span i stays in one piece with the span before it. Runs of matches
 * glue only their first match to a neighbour. */
static bool joins_previous(const struct spans *spans, size_t i, enum pretok_behavior behavior)
{
    bool here = spans->at[i].is_match, before = spans->at[i - 1].is_match;

    switch (behavior) {
    case PRETOK_CONTIGUOUS:
        return here == before;
    case PRETOK_MERGED_WITH_PREVIOUS:
        return here && !before;
    case PRETOK_MERGED_WITH_NEXT:
        return before && !here;
    default:
        return false;
    }
}

static void emit_spans(const struct spans *spans, enum pretok_behavior behavior, const char *text,
                       enum text_place place, struct pieces *out)
{
    for (size_t i = 0; i < spans->n; i++) {
        const struct span *s = &spans->at[i];

        if (behavior == PRETOK_REMOVED && s->is_match)
            continue;
        if (i > 0 && !joins_previous(spans, i, behavior))
            pieces_end(out);
        if (s->start == 0 && s->end > 0 && out->n == 0)
            out->place = place;
        text_buf_add(&out->bytes, text + s->start, s->end - s->start);
    }
    pieces_end(out);
}

static void substitute(const struct pretok_stage *stage, const struct spans *spans,
                       const char *text, struct pieces *out)
{
    for (size_t i = 0; i < spans->n; i++) {
        const struct span *s = &spans->at[i];

        if (s->is_match)
            text_buf_add(&out->bytes, stage->text, stage->n_text);
        else
            text_buf_add(&out->bytes, text + s->start, s->end - s->start);
    }
    pieces_end(out);
}

static void prefix(const struct pretok_stage *stage, const char *text, size_t n,
                   enum text_place place, struct pieces *out)
{
    bool there = n >= stage->n_text && memcmp(text, stage->text, stage->n_text) == 0;
    bool wanted = stage->only_first ? place == TEXT_AT_START : place != TEXT_WITHIN;

    if (!there && wanted)
        text_buf_add(&out->bytes, stage->text, stage->n_text);
    pieces_add(out, text, n);
}

static enum status run_stage(const struct pretok_stage *stage, const struct pieces *in,
                             struct pieces *out, struct err *err)
{
    struct pattern_scan *scan = stage->pattern ? pattern_scan_open(stage->pattern) : NULL;
    struct spans spans = {0};
    enum status st = ST_OK;

    pieces_clear(out);
    if (stage->kind != PRETOK_SPLIT)
        out->place = in->place;
    for (size_t i = 0; st == ST_OK && i < in->n; i++) {
        size_t n;
        const char *text = pieces_at(in, i, &n);
        enum text_place place = i == 0 ? in->place : TEXT_AFTER_TOKEN;

        if (scan != NULL)
            st = find_spans(stage, scan, text, n, &spans, err);
        if (st != ST_OK)
            break;
        if (stage->kind == PRETOK_SPLIT)
            emit_spans(&spans, stage->behavior, text, place, out);
        else if (stage->kind == PRETOK_SUBSTITUTE)
            substitute(stage, &spans, text, out);
        else if (stage->kind == PRETOK_PREFIX)
            prefix(stage, text, n, place, out);
        else
            byte_level_spell(&out->bytes, text, n);
        pieces_end(out);
        if (out->bytes.n > UINT32_MAX / 2)
            st = err_set(err, ST_INVALID, "the text grows beyond 2 GiB while it is split");
    }
    pattern_scan_close(scan);
    free(spans.at);
    return st;
}

enum status pretok_run(const struct pretok *pretok, struct pieces *pieces, struct err *err)
{
    struct pieces next, swap;
    enum status st = ST_OK;

    pieces_init(&next);
    for (unsigned i = 0; st == ST_OK && i < pretok->n; i++) {
        st = run_stage(&pretok->stage[i], pieces, &next, err);
        swap = *pieces;
        *pieces = next;
        next = swap;
    }
    pieces_release(&next);
    return st;
}
