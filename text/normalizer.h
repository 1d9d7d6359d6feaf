/*
 * normalizer.h - the rewriting of a text before it is cut and encoded.
 */
#ifndef TEXT_NORMALIZER_H
#define TEXT_NORMALIZER_H

#include "common/status.h"
#include "text/pattern.h"
#include "text/text_buf.h"
#include "text/text_place.h"

enum normalizer_kind {
    NORM_PREPEND, /* put `text` in front of a text that is not empty */
    NORM_REPLACE, /* each match of `pattern` becomes `text` */
    NORM_NFC,
    NORM_NFD,
    NORM_NFKC,
    NORM_NFKD,
    NORM_SQUEEZE,  /* no space at the beginning, one at most in a row */
    NORM_TRIM_END, /* no `text` at the end */
};

struct normalizer_stage {
    enum normalizer_kind kind;
    struct pattern *pattern; /* owned */
    char *text;              /* [n_text], owned */
    size_t n_text;
};

#define NORMALIZER_MAX_STAGES 32
struct normalizer {
    struct normalizer_stage stage[NORMALIZER_MAX_STAGES];
    unsigned n;
};

void normalizer_init(struct normalizer *norm);
void normalizer_release(struct normalizer *norm);
/* Takes the stage's pattern and text, also on failure. */
enum status normalizer_push(struct normalizer *norm, const struct normalizer_stage *stage,
                            struct err *err);

/* Rewrites well-formed UTF-8 in place. A text that is TEXT_WITHIN gets nothing in
 * front and keeps a space there. ST_INVALID: the text outgrows 2 GiB, a
 * pattern ran into its limits, or a base carries an absurd number of marks. */
enum status normalizer_run(const struct normalizer *norm, struct text_buf *text,
                           enum text_place place, struct err *err);

#endif
