#include "text/text_buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

void text_buf_init(struct text_buf *buf)
{
    *buf = (struct text_buf){0};
}

void text_buf_release(struct text_buf *buf)
{
    free(buf->data);
    text_buf_init(buf);
}

void text_buf_add(struct text_buf *buf, const char *bytes, size_t n)
{
    if (n == 0)
        return;
    if (n > buf->cap - buf->n) {
        CHECK(n < SIZE_MAX / 4 && buf->n < SIZE_MAX / 4);
        buf->cap = 2 * (buf->n + n) + 64;
        buf->data = mem_resize(buf->data, buf->cap, 1);
    }
    memcpy(buf->data + buf->n, bytes, n);
    buf->n += n;
}

void text_buf_take(struct text_buf *buf, char *bytes, size_t n)
{
    text_buf_release(buf);
    *buf = (struct text_buf){.data = bytes, .n = n, .cap = n};
}

char *text_copy(const char *text, size_t n)
{
    char *copy = mem_alloc(n + 1);

    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}
