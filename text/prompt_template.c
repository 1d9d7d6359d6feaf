#include "text/prompt_template.h"

#include <stdlib.h>
#include <string.h>

#include "common/whole_file.h"
#include "text/utf8.h"

static const char hole[] = "{document}";
enum { HOLE_BYTES = sizeof hole - 1 };

const char prompt_template_words[] = "none|summarize|continue";

/* In the order of prompt_template_words. */
static const struct builtin {
    const char *word, *before, *after;
} builtins[] = {
    {"none", "", ""},
    {"summarize",
     "Below is part of a book. Read all of it, for you will be asked to write a summary of what "
     "happens in it.\n\n",
     "\n\nHere the part of the book ends. Write a summary of it: who appears, what happens in "
     "which order, and how the part ends. Tell only what the text says, and use your own "
     "words.\n\nSummary:\n"},
    {"continue",
     "Below is the beginning of a text. Write its continuation, in the same voice and with the "
     "same people.\n\n",
     ""},
};
enum { BUILTINS = sizeof builtins / sizeof builtins[0] };

void prompt_template_init(struct prompt_template *t)
{
    text_buf_init(&t->before);
    text_buf_init(&t->after);
}

void prompt_template_release(struct prompt_template *t)
{
    text_buf_release(&t->before);
    text_buf_release(&t->after);
}

static void fill(struct prompt_template *t, const char *before, size_t n_before, const char *after,
                 size_t n_after)
{
    prompt_template_release(t);
    text_buf_add(&t->before, before, n_before);
    text_buf_add(&t->after, after, n_after);
}

enum status prompt_template_choose(struct prompt_template *t, const char *word, struct err *err)
{
    char shown[UTF8_SHOW_BYTES];

    for (size_t i = 0; i < BUILTINS; i++) {
        const struct builtin *b = &builtins[i];
        if (strcmp(b->word, word) != 0)
            continue;
        fill(t, b->before, strlen(b->before), b->after, strlen(b->after));
        return ST_OK;
    }
    return err_set(err, ST_INVALID, "template is %s; one of %s, or a file, would be right",
                   utf8_show(shown, word, strlen(word)), prompt_template_words);
}

static size_t line_of(const char *text, const char *at)
{
    size_t line = 1;

    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

enum status prompt_template_parse(struct prompt_template *t, const char *path, const char *text,
                                  size_t n_bytes, struct err *err)
{
    const char *at, *end, *again;
    size_t bad = 0;

    if (n_bytes > PROMPT_TEMPLATE_MAX_BYTES)
        return err_set(err, ST_INVALID, "%s: a template of %zu bytes; at most %zu would be right",
                       path, n_bytes, PROMPT_TEMPLATE_MAX_BYTES);
    if (!utf8_check(text, n_bytes, &bad))
        return err_set(err, ST_INVALID, "%s:%zu: byte %zu of the file is 0x%02X, which is no UTF-8",
                       path, line_of(text, text + bad), bad, (unsigned char)text[bad]);
    while (n_bytes > 0 && (text[n_bytes - 1] == '\n' || text[n_bytes - 1] == '\r'))
        n_bytes--;
    end = text + n_bytes;
    at = n_bytes > 0 ? memmem(text, n_bytes, hole, HOLE_BYTES) : NULL;
    if (at == NULL)
        return err_set(err, ST_INVALID,
                       "%s: a template without %s; it would be right once, where the document goes",
                       path, hole);
    at += HOLE_BYTES;
    again = memmem(at, (size_t)(end - at), hole, HOLE_BYTES);
    if (again != NULL)
        return err_set(err, ST_INVALID,
                       "%s:%zu: a second %s, the first is in line %zu; once would "
                       "be right",
                       path, line_of(text, again), hole, line_of(text, at));
    fill(t, text, (size_t)(at - text) - HOLE_BYTES, at, (size_t)(end - at));
    return ST_OK;
}

enum status prompt_template_read(struct prompt_template *t, const char *path, struct err *err)
{
    char *text = NULL;
    size_t n = 0;
    enum status st = whole_file_read(&text, &n, path, PROMPT_TEMPLATE_MAX_BYTES, err);

    if (st == ST_OK)
        st = prompt_template_parse(t, path, text, n, err);
    free(text);
    return st == ST_OK ? st : err_in(err, st, "template");
}
