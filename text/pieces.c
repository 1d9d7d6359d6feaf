#include "text/pieces.h"

#include <stdlib.h>

#include "common/mem.h"

void pieces_init(struct pieces *pieces)
{
    *pieces = (struct pieces){0};
}

void pieces_release(struct pieces *pieces)
{
    text_buf_release(&pieces->bytes);
    free(pieces->end);
    pieces_init(pieces);
}

void pieces_clear(struct pieces *pieces)
{
    pieces->bytes.n = 0;
    pieces->n = 0;
    pieces->place = TEXT_AFTER_TOKEN;
}

void pieces_end(struct pieces *pieces)
{
    size_t begun = pieces->n ? pieces->end[pieces->n - 1] : 0;

    if (pieces->bytes.n == begun)
        return;
    if (pieces->n == pieces->cap) {
        pieces->cap = pieces->cap ? 2 * pieces->cap : 64;
        pieces->end = mem_resize(pieces->end, pieces->cap, sizeof *pieces->end);
    }
    pieces->end[pieces->n++] = pieces->bytes.n;
}

void pieces_add(struct pieces *pieces, const char *text, size_t n)
{
    text_buf_add(&pieces->bytes, text, n);
    pieces_end(pieces);
}

const char *pieces_at(const struct pieces *pieces, size_t i, size_t *n)
{
    size_t start = i ? pieces->end[i - 1] : 0;

    *n = pieces->end[i] - start;
    return pieces->bytes.data + start;
}
