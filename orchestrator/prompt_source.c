#include "orchestrator/prompt_source.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "text/demo_text.h"
#include "text/prompt.h"

/* The last tokens of a cut text may be others than those of the whole text;
 * no token is made of this many. */
enum { CUT_TOKENS = 64, FIRST_BYTES_PER_TOKEN = 6 };

struct prompt_source {
    uint32_t n_documents, n_tokens;
    int32_t **document; /* [n_documents][n_tokens] */
};

static enum status count_tokens(void *ctx, const char *text, size_t n_bytes, size_t *out_tokens,
                                struct err *err)
{
    struct token_list list;
    enum status st;

    token_list_init(&list);
    st = tokenizer_encode(ctx, text, n_bytes, &list, err);
    *out_tokens = list.n;
    token_list_release(&list);
    return st;
}

enum status prompt_source_demo(struct text_buf *out, const struct tokenizer *tok, uint64_t seed,
                               uint32_t n_tokens, struct err *err)
{
    struct demo_text_options options = {.seed = seed};
    struct demo_text *text = NULL;
    const char *bytes;
    size_t n = 0;
    enum status st = demo_text_open(&text, &options, err);

    if (st == ST_OK)
        st = demo_text_grow_tokens(text, n_tokens, count_tokens, (void *)(uintptr_t)tok, &n, err);
    if (st == ST_OK) {
        bytes = demo_text_bytes(text, &n);
        text_buf_add(out, bytes, n);
    }
    demo_text_close(text);
    return st;
}

/* BOS and the first ids of the text, n_tokens in all. *n_have tells how many
 * there were when it is too short. */
static enum status cut(const struct prompt_source_args *a, const char *text, size_t n_bytes,
                       int32_t *out, uint32_t *n_have, struct err *err)
{
    int32_t bos = tokenizer_bos(a->tok);
    struct token_list list;
    enum status st;

    token_list_init(&list);
    if (bos >= 0)
        token_list_push(&list, bos);
    st = tokenizer_encode(a->tok, text, n_bytes, &list, err);
    *n_have = list.n;
    if (st == ST_OK && list.n >= a->n_tokens)
        memcpy(out, list.id, a->n_tokens * sizeof *out);
    token_list_release(&list);
    return st;
}

static enum status demo_document(const struct prompt_source_args *a, uint32_t i, int32_t *out,
                                 struct err *err)
{
    struct text_buf text;
    uint32_t n_have = 0;
    enum status st;

    text_buf_init(&text);
    st = prompt_source_demo(&text, a->tok, a->document_seed + i, a->n_tokens + CUT_TOKENS, err);
    if (st == ST_OK)
        st = cut(a, text.data, text.n, out, &n_have, err);
    text_buf_release(&text);
    return st == ST_OK ? st : err_in(err, st, "demo text");
}

static bool continues_character(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Where document i begins: the start of a line, or of a character where the
 * line is long. */
static size_t begin_of(const struct prompt_source_args *a, const struct text_buf *text, uint32_t i)
{
    size_t at = text->n / a->n_documents * i;
    const char *line = i > 0 ? memchr(text->data + at, '\n', text->n - at) : NULL;

    if (line != NULL && (size_t)(line - text->data) - at < 4096)
        return (size_t)(line - text->data) + 1;
    while (at < text->n && continues_character(text->data[at]))
        at++;
    return at;
}

/* Encodes no more of the file than it needs: a longer piece until it suffices. */
static enum status file_document(const struct prompt_source_args *a, const struct text_buf *text,
                                 uint32_t i, int32_t *out, struct err *err)
{
    size_t begin = begin_of(a, text, i), n_rest = text->n - begin;
    size_t n_bytes = ((size_t)a->n_tokens + CUT_TOKENS) * FIRST_BYTES_PER_TOKEN;
    uint32_t n_have = 0;
    enum status st;

    for (;;) {
        size_t n = n_bytes < n_rest ? n_bytes : n_rest;
        while (n > 0 && n < n_rest && continues_character(text->data[begin + n]))
            n--;
        st = cut(a, text->data + begin, n, out, &n_have, err);
        if (st != ST_OK)
            return err_in(err, st, "%s", a->dataset);
        if (n == n_rest || n_have >= a->n_tokens + CUT_TOKENS)
            break;
        n_bytes *= 2;
    }
    if (n_have < a->n_tokens)
        return err_set(
            err, ST_INVALID,
            "%s: document %u of %u begins at byte %zu and has %u tokens, fewer than the "
            "prefill of %u; a longer text, fewer documents or a shorter prefill would do",
            a->dataset, i + 1, a->n_documents, begin, n_have, a->n_tokens);
    return ST_OK;
}

enum status prompt_source_open(struct prompt_source **out, const struct prompt_source_args *args,
                               struct err *err)
{
    bool is_demo = strcmp(args->dataset, "demo") == 0;
    struct prompt_source *s = mem_zalloc(sizeof *s);
    struct text_buf text;
    enum status st = ST_OK;

    CHECK(args->n_documents > 0 && args->n_tokens > 0);
    text_buf_init(&text);
    s->n_documents = args->n_documents;
    s->n_tokens = args->n_tokens;
    s->document = mem_array(s->n_documents, sizeof *s->document);
    if (!is_demo)
        st = prompt_read(&text, args->dataset, err);
    for (uint32_t i = 0; st == ST_OK && i < s->n_documents; i++) {
        s->document[i] = mem_array(s->n_tokens, sizeof **s->document);
        st = is_demo ? demo_document(args, i, s->document[i], err)
                     : file_document(args, &text, i, s->document[i], err);
    }
    text_buf_release(&text);
    if (st != ST_OK) {
        prompt_source_close(s);
        return st;
    }
    *out = s;
    return ST_OK;
}

void prompt_source_close(struct prompt_source *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->n_documents; i++)
        free(s->document[i]);
    free(s->document);
    free(s);
}

const int32_t *prompt_source_tokens(const struct prompt_source *s, uint32_t document)
{
    CHECK(document < s->n_documents);
    return s->document[document];
}

int32_t prompt_source_largest(const struct prompt_source *s)
{
    int32_t largest = 0;

    for (uint32_t d = 0; d < s->n_documents; d++)
        for (uint32_t i = 0; i < s->n_tokens; i++)
            largest = s->document[d][i] > largest ? s->document[d][i] : largest;
    return largest;
}
