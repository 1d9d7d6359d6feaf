/*
 * fuzz_chat_form.c - any bytes as the source of a chat template: a form is whole
 * or refused with words.
 */
#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "text/chat_form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chat_form form;
    struct err err = {{0}};

    if (chat_form_read(&form, (const char *)data, size, &err) == ST_OK) {
        CHECK(form.name != NULL && form.user_open != NULL && form.user_close != NULL);
        CHECK(form.system_open != NULL && form.system_close != NULL);
        CHECK(form.system == NULL || form.has_system || form.system_inside);
    } else {
        CHECK(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
    }
    chat_form_release(&form);
    return 0;
}
