/*
 * token_stream.h - ids to text, one by one, never half a character.
 *
 * Bytes that do not yet make a whole character wait for the next ids. Special
 * tokens print nothing.
 */
#ifndef TEXT_TOKEN_STREAM_H
#define TEXT_TOKEN_STREAM_H

#include "text/tokenizer.h"

struct token_stream {
    const struct tokenizer *tok; /* borrowed until the last call */
    struct text_buf bytes;       /* of the newest token; owned */
    char held[4];                /* the beginning of a character */
    unsigned n_held;
    unsigned n_strip; /* spaces still to be dropped at the beginning */
    bool leading;     /* decode_rules.lead still applies to the next piece */
};

void token_stream_init(struct token_stream *stream, const struct tokenizer *tok);
void token_stream_release(struct token_stream *stream);

/* Appends what can be printed now. ST_INVALID: the vocabulary has no such id;
 * nothing has changed then. */
enum status token_stream_push(struct token_stream *stream, int32_t id, struct text_buf *out,
                              struct err *err);

/* Appends U+FFFD for a character that never became whole; the stream is then
 * as new. */
void token_stream_flush(struct token_stream *stream, struct text_buf *out);

#endif
