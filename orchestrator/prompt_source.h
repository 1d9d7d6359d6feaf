/*
 * prompt_source.h - the documents of a study as prompts: token ids of an exact
 * number.
 *
 * Document i of the demo text has seed document_seed + i; dataset.h says what
 * the others are, prompt_frame.h what stands around them. Without a template a
 * shorter prompt of a document is a beginning of its longer ones (but for a
 * character cut in two); with one it is not, since the instruction closes both.
 */
#ifndef ORCHESTRATOR_PROMPT_SOURCE_H
#define ORCHESTRATOR_PROMPT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "orchestrator/prompt_parts.h"
#include "text/tokenizer.h"

struct prompt_source; /* owns the ids */

struct prompt_source_args {
    const struct tokenizer *tok;      /* borrowed until prompt_source_close */
    const struct prompt_parts *parts; /* around every document; NULL: none; for the call */
    const char *dataset;              /* "demo", a text file, a folder, a JSON Lines file */
    const char *field;                /* as in struct dataset_args */
    bool skip_short; /* pass over documents of folders and JSON Lines that are too short */
    uint32_t n_documents;
    uint64_t document_seed;
    uint32_t n_tokens;     /* of the longest prompt, BOS and instruction counted; > 0 */
    uint32_t n_tokens_min; /* of the shortest; 0: the longest is the only one */
};

/* ST_INVALID: a document too short, too few documents, no room beside the
 * instruction, each with the numbers. Else what reading gives. */
enum status prompt_source_open(struct prompt_source **out, const struct prompt_source_args *args,
                               struct err *err);
void prompt_source_close(struct prompt_source *source); /* NULL is fine */

/* The prompt of exactly n_tokens, which is within the args' lengths; borrowed
 * until the next call and prompt_source_close. */
const int32_t *prompt_source_tokens(struct prompt_source *source, uint32_t document,
                                    uint32_t n_tokens);
/* XXH3-64 of that prompt's ids, each as four bytes, lowest first. */
uint64_t prompt_source_hash(struct prompt_source *source, uint32_t document, uint32_t n_tokens);

int32_t prompt_source_largest(const struct prompt_source *source); /* id of all prompts */

/* "seed 1", "byte 0", "emma.txt", "line 12"; safe to show; as dataset.h. */
const char *prompt_source_name(const struct prompt_source *source, uint32_t document);
uint32_t prompt_source_skipped(const struct prompt_source *source); /* documents too short */

/* A demo text of at least n_tokens tokens by `tok`, appended to an initialised
 * *out. */
enum status prompt_source_demo(struct text_buf *out, const struct tokenizer *tok, uint64_t seed,
                               uint32_t n_tokens, struct err *err);

#endif
