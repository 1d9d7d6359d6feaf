/*
 * pieces.h - a text cut into non-empty pieces, in order.
 */
#ifndef TEXT_PIECES_H
#define TEXT_PIECES_H

#include "text/text_buf.h"
#include "text/text_place.h"

struct pieces {
    struct text_buf bytes;
    size_t *end; /* [n] where each piece ends in bytes, owned */
    size_t n;
    size_t cap;
    enum text_place place; /* of the first piece */
};

void pieces_init(struct pieces *pieces);
void pieces_release(struct pieces *pieces);
void pieces_clear(struct pieces *pieces); /* keeps the room */
/* Bytes put into pieces->bytes since the last call become a piece, if any. */
void pieces_end(struct pieces *pieces);
void pieces_add(struct pieces *pieces, const char *text, size_t n);
/* Borrowed until the next change. */
const char *pieces_at(const struct pieces *pieces, size_t i, size_t *n);

#endif
