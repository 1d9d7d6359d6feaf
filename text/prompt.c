#include "text/prompt.h"

#include "text/file_read.h"
#include "text/utf8.h"

enum status prompt_read(struct text_buf *out, const char *path, struct err *err)
{
    enum status st = file_read(out, path, PROMPT_MAX_BYTES, err);
    size_t bad;

    if (st == ST_OK && !utf8_check(out->data, out->n, &bad))
        st = err_set(err, ST_INVALID, "%s is not UTF-8: byte %zu is 0x%02X", path, bad,
                     (unsigned char)out->data[bad]);
    return st == ST_OK ? ST_OK : err_in(err, st, "reading the prompt");
}
