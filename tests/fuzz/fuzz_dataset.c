/*
 * fuzz_dataset.c - lines of JSON Lines and template files: any bytes are read
 * or refused with words. The first byte says which.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/json_line.h"
#include "text/prompt_template.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(enum status st, const struct err *err, const struct text_buf *text)
{
    size_t bad = 0;
    CHECK(st == ST_OK ? utf8_check(text->n > 0 ? text->data : "", text->n, &bad)
                      : err->text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const fields[] = {"text", "a.b", "a.b.c"};
    struct prompt_template t;
    struct text_buf out;
    struct err err = {{0}};
    enum status st;

    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    text_buf_init(&out);
    prompt_template_init(&t);
    if (data[0] % 4 < 3) {
        st = json_line_text(&out, text, size - 1, fields[data[0] % 4], &err);
        check(st, &err, &out);
    } else {
        st = prompt_template_parse(&t, "t", text, size - 1, &err);
        check(st, &err, &t.before);
        check(st, &err, &t.after);
    }
    prompt_template_release(&t);
    text_buf_release(&out);
    return 0;
}
