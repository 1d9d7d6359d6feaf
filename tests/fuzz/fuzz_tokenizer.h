/*
 * fuzz_tokenizer.h - what the tokenizer fuzzers do with a file's bytes.
 */
#ifndef TESTS_FUZZ_FUZZ_TOKENIZER_H
#define TESTS_FUZZ_FUZZ_TOKENIZER_H

#include <string.h>

#include "common/mem.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_tokenizer_use(const struct tokenizer *tok)
{
    static const char text[] = "  Once the <s>a\xC3\xA9 e\xCC\x81<u> 12345\r\n\xE2\x96\x81 "
                               "\xF0\x9F\x99\x82\t<|end|>'s abcabc\0x ";
    static const struct plain_text plain = {text, sizeof text - 1, TEXT_WITHIN};
    struct token_list list;
    struct text_buf back;
    struct err err = {{0}};
    size_t bad;

    token_list_init(&list);
    text_buf_init(&back);
    if (tokenizer_encode(tok, text, sizeof text - 1, &list, &err) == ST_OK) {
        for (uint32_t i = 0; i < list.n; i++)
            CHECK(list.id[i] >= 0 && (uint32_t)list.id[i] < tokenizer_n_vocab(tok));
        CHECK(tokenizer_decode(tok, list.id, list.n, &back, &err) == ST_OK);
        CHECK(utf8_check(back.data, back.n, &bad));
    }
    list.n = 0;
    if (tokenizer_encode_plain(tok, &plain, &list, &err) == ST_OK)
        for (uint32_t i = 0; i < list.n; i++)
            CHECK(vocab_at(&tok->model.vocab, list.id[i]) != NULL &&
                  (list.id[i] == tok->model.unknown || !tokenizer_is_special(tok, list.id[i])));
    text_buf_release(&back);
    token_list_release(&list);
}

static inline void fuzz_tokenizer_bytes(const char *bytes, size_t n)
{
    struct tokenizer *tok = NULL;
    struct err err = {{0}};

    if (tokenizer_open_memory(&tok, bytes, n, &err) != ST_OK) {
        CHECK(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
        return;
    }
    fuzz_tokenizer_use(tok);
    tokenizer_close(tok);
}

#endif
