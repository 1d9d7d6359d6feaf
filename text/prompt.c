#include "text/prompt.h"

#include "common/whole_file.h"
#include "text/utf8.h"

enum status prompt_read(struct text_buf *out, const char *path, struct err *err)
{
    char *bytes = NULL;
    size_t n_bytes = 0, bad;
    enum status st = whole_file_read(&bytes, &n_bytes, path, PROMPT_MAX_BYTES, err);

    if (st == ST_OK)
        text_buf_take(out, bytes, n_bytes);
    if (st == ST_OK && !utf8_check(out->data, out->n, &bad))
        st = err_set(err, ST_INVALID, "%s is not UTF-8: byte %zu is 0x%02X", path, bad,
                     (unsigned char)out->data[bad]);
    return st == ST_OK ? ST_OK : err_in(err, st, "reading the prompt");
}
