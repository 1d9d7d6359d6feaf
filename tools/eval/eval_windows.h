/*
 * eval_windows.h - stretches of a text as token ids.
 *
 * Each begins with the tokenizer's BOS if it has one, then holds consecutive
 * tokens. Those of a file are spread evenly over it and do not overlap, so no
 * token is counted twice; those of the demo text are beginnings of texts with
 * consecutive seeds, since what a text recalls was told further up.
 */
#ifndef TOOLS_EVAL_EVAL_WINDOWS_H
#define TOOLS_EVAL_EVAL_WINDOWS_H

#include "common/status.h"
#include "text/tokenizer.h"

struct eval_windows_args {
    const char *text;   /* file, or "demo" */
    uint64_t demo_seed; /* of the demo's first window */
    const struct tokenizer *tok;
    uint32_t n_windows; /* > 0 */
    uint32_t n_prefill; /* tokens of a window that are not scored, BOS counted; > 0 */
    uint32_t n_scored;  /* rows that are; 0: as many as the file gives */
    uint32_t n_vocab, max_positions;
};

struct eval_windows { /* owns the ids */
    uint32_t n_windows, n_prefill, n_scored;
    uint32_t n_text; /* tokens of the whole file; 0: the demo text has no end */
    /* [n_windows][n_prefill + n_scored + 1]: the last one is only predicted. */
    int32_t *token;
};

/* ST_INVALID, with the numbers: the text is too short, a window longer than the
 * model's positions, or a token is not the model's. Else what reading gives. */
enum status eval_windows_open(struct eval_windows *out, const struct eval_windows_args *args,
                              struct err *err);
void eval_windows_release(struct eval_windows *w); /* zeroed or released is fine */

/* [n_prefill + n_scored + 1] */
const int32_t *eval_windows_tokens(const struct eval_windows *w, uint32_t window);

#endif
