/*
 * prompt_source.h - the documents of a study as token ids.
 *
 * Document i of the demo text has seed document_seed + i. Document i of n of a
 * text file begins i/n of the way into it, at the next line. Every document
 * starts with the tokenizer's BOS if it has one; a shorter prompt is a
 * beginning of a longer one.
 */
#ifndef ORCHESTRATOR_PROMPT_SOURCE_H
#define ORCHESTRATOR_PROMPT_SOURCE_H

#include <stdint.h>

#include "common/status.h"
#include "text/tokenizer.h"

struct prompt_source; /* owns the ids */

struct prompt_source_args {
    const struct tokenizer *tok; /* borrowed for the call */
    const char *dataset;         /* "demo" or a text file */
    uint32_t n_documents;
    uint64_t document_seed;
    uint32_t n_tokens; /* of every document, BOS counted; > 0 */
};

/* ST_INVALID: a text too short, with the numbers. Else what reading gives. */
enum status prompt_source_open(struct prompt_source **out, const struct prompt_source_args *args,
                               struct err *err);
void prompt_source_close(struct prompt_source *source); /* NULL is fine */

/* [n_tokens]; borrowed until prompt_source_close. */
const int32_t *prompt_source_tokens(const struct prompt_source *source, uint32_t document);
int32_t prompt_source_largest(const struct prompt_source *source); /* id of all documents */

/* A demo text of at least n_tokens tokens by `tok`, appended to an initialised
 * *out. */
enum status prompt_source_demo(struct text_buf *out, const struct tokenizer *tok, uint64_t seed,
                               uint32_t n_tokens, struct err *err);

#endif
