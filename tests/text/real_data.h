/*
 * real_data.h - tokenizers and texts of the data directory.
 */
#ifndef TESTS_TEXT_REAL_DATA_H
#define TESTS_TEXT_REAL_DATA_H

#include "tests/text/tokenizer_fixture.h"
#include "text/prompt.h"

static inline struct tokenizer *real_open(const char *name)
{
    char path[512];
    struct tokenizer *tok = NULL;
    struct err err = {{0}};

    snprintf(path, sizeof path, "%s/%s", TEST_DATA_DIR, name);
    if (tokenizer_open(&tok, path, &err) != ST_OK)
        fail_msg("%s", err.text);
    return tok;
}

/* With a NUL behind it, which out->n counts. */
static inline void real_text(struct text_buf *out, const char *name)
{
    char path[512];
    struct err err = {{0}};

    snprintf(path, sizeof path, "%s/%s", TEST_DATA_DIR, name);
    text_buf_init(out);
    if (prompt_read(out, path, &err) != ST_OK)
        fail_msg("%s", err.text);
    text_buf_add(out, "", 1);
}

static inline void real_skip_without(void)
{
    char path[512];

    if (test_data_path(path, sizeof path, "tokenizers/llama2/tokenizer.model") == NULL)
        test_skip_program("real tokenizers are not there: " TEST_DATA_DIR);
}

#endif
