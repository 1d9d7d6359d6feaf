/*
 * text_buf.h - growing bytes. They may hold NUL and are not terminated.
 */
#ifndef TEXT_TEXT_BUF_H
#define TEXT_TEXT_BUF_H

#include <stddef.h>

struct text_buf {
    char *data; /* [n], owned; NULL while nothing was ever added */
    size_t n;
    size_t cap;
};

void text_buf_init(struct text_buf *buf);
void text_buf_release(struct text_buf *buf); /* leaves an empty buffer */
void text_buf_add(struct text_buf *buf, const char *bytes, size_t n);
/* Takes `bytes` (of malloc) in place of what the buffer held. */
void text_buf_take(struct text_buf *buf, char *bytes, size_t n);

/* n bytes and a NUL behind them; the caller owns the result. */
char *text_copy(const char *text, size_t n);

#endif
