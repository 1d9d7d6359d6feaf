/*
 * fuzz_tiktoken.c - a line that is the pattern, then any bytes as a rank file; what
 * opens must encode and decode without harm.
 */
#include "tests/fuzz/fuzz_tokenizer.h"

enum { MAX_PATTERN = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    char pattern[MAX_PATTERN + 1] = {0};
    struct tokenizer_hints hints = {.pattern = pattern};
    struct tokenizer *tok;
    struct err err = {{0}};
    size_t n = end != NULL ? (size_t)(end - data) : 0;

    if (end == NULL || n > MAX_PATTERN || n + 1 == size || end[1] == '{')
        return 0; /* no ranks, or another kind of file */
    memcpy(pattern, data, n);
    tok = tokenizer_new();
    if (tokenizer_read(tok, (const char *)end + 1, size - n - 1, &hints, &err) == ST_OK) {
        tokenizer_seal(tok);
        fuzz_tokenizer_use(tok);
    } else {
        CHECK(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
    }
    tokenizer_close(tok);
    return 0;
}
