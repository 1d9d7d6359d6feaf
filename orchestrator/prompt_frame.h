/*
 * prompt_frame.h - what stands around the document of a prompt, as token ids,
 * and the prompt of an exact length.
 *
 * A prompt is BOS (once, if the tokenizer has it) or what a chat form opens
 * with, the instruction in front, the document's first tokens, the instruction
 * behind, what the chat form closes with. Each of the three texts is encoded by
 * itself, so that the count is exact and the instruction is the same whatever
 * the document; nothing in them becomes a special token, however it is spelled.
 * Where the cut would fall inside a character, that character is left out and
 * tokens of a line break stand in its place.
 */
#ifndef ORCHESTRATOR_PROMPT_FRAME_H
#define ORCHESTRATOR_PROMPT_FRAME_H

#include "common/status.h"
#include "orchestrator/prompt_parts.h"
#include "text/tokenizer.h"

struct prompt_frame {
    const struct tokenizer *tok; /* borrowed until prompt_frame_release */
    struct token_list before;    /* owned */
    struct token_list after;     /* owned */
    /* Non-NULL: the document is the first text of the user's turn, and the chat
     * form says how that is encoded. Borrowed until the last prompt_frame_encode. */
    const struct chat_template *chat;
    enum text_place place; /* otherwise: where the document stands */
    int32_t filler;        /* a line break, or a blank */
};

/* `parts` are borrowed until the last prompt_frame_encode. ST_INVALID: what
 * encoding gives; a tokenizer without a token for a line break or a blank. */
enum status prompt_frame_init(struct prompt_frame *frame, const struct tokenizer *tok,
                              const struct prompt_parts *parts, struct err *err);
void prompt_frame_release(struct prompt_frame *frame); /* a zeroed one is fine */

uint32_t prompt_frame_tokens(const struct prompt_frame *frame); /* without a document */

/* Appends the ids of the document's beginning `text` to an initialised *out. */
enum status prompt_frame_encode(const struct prompt_frame *frame, const char *text, size_t n_bytes,
                                struct token_list *out, struct err *err);

/* Replaces *out (initialised) by the prompt of exactly n_tokens around the
 * beginning of `document`, which has at least n_tokens - prompt_frame_tokens()
 * ids, at least one. */
void prompt_frame_join(const struct prompt_frame *frame, const int32_t *document, uint32_t n_tokens,
                       struct token_list *out);

#endif
