/*
 * pretok.h - cuts normalised text into the pieces that are encoded one by one.
 *
 * A file's pre-tokenizer is kept as a row of simple stages, each applied to
 * every piece the one before it left.
 */
#ifndef TEXT_PRETOK_H
#define TEXT_PRETOK_H

#include "common/status.h"
#include "text/pattern.h"
#include "text/pieces.h"

enum pretok_kind {
    PRETOK_SPLIT,      /* cut at matches of `pattern`, as `behavior` says */
    PRETOK_SUBSTITUTE, /* each match of `pattern` becomes `text` */
    PRETOK_PREFIX,     /* put `text` in front unless it stands there */
    PRETOK_SPELL,      /* each byte becomes its visible character */
};

/* What becomes of the matches of a split (the names of tokenizer.json). */
enum pretok_behavior {
    PRETOK_REMOVED,
    PRETOK_ISOLATED,
    PRETOK_CONTIGUOUS,
    PRETOK_MERGED_WITH_PREVIOUS,
    PRETOK_MERGED_WITH_NEXT,
};

struct pretok_stage {
    enum pretok_kind kind;
    struct pattern *pattern; /* owned */
    enum pretok_behavior behavior;
    bool invert;     /* what lies between the matches counts as the match */
    bool only_first; /* a prefix only where the whole input begins */
    char *text;      /* [n_text], owned */
    size_t n_text;
};

#define PRETOK_MAX_STAGES 32
struct pretok {
    struct pretok_stage stage[PRETOK_MAX_STAGES];
    unsigned n;
};

void pretok_init(struct pretok *pretok);
void pretok_release(struct pretok *pretok);
/* Takes the stage's pattern and text, also on failure. */
enum status pretok_push(struct pretok *pretok, const struct pretok_stage *stage, struct err *err);

/* Cuts pieces->n == 1 or more pieces in place. */
enum status pretok_run(const struct pretok *pretok, struct pieces *pieces, struct err *err);

#endif
