/*
 * prompt_template.h - an instruction around a document: the text in front of
 * it and the text behind it.
 *
 * Three are built in (prompt_template_words); a template file is a text that
 * holds "{document}" once, where the document goes. Line breaks at a file's
 * end do not count, since editors add them.
 */
#ifndef TEXT_PROMPT_TEMPLATE_H
#define TEXT_PROMPT_TEMPLATE_H

#include "common/status.h"
#include "text/text_buf.h"

#define PROMPT_TEMPLATE_MAX_BYTES ((size_t)1 << 20)

/* "none|summarize|continue": the document alone; an instruction to summarise
 * it, in front and again behind; an instruction to write on. */
extern const char prompt_template_words[];

struct prompt_template {
    struct text_buf before; /* owned; well-formed UTF-8 */
    struct text_buf after;  /* owned; well-formed UTF-8 */
};

void prompt_template_init(struct prompt_template *t); /* the same as "none" */
void prompt_template_release(struct prompt_template *t);

/* Each fills an initialised template. ST_INVALID: no word of
 * prompt_template_words. */
enum status prompt_template_choose(struct prompt_template *t, const char *word, struct err *err);
/* ST_NOT_FOUND, ST_IO, or ST_INVALID with the path: not UTF-8, too long,
 * "{document}" missing or there more than once (the words name the line). */
enum status prompt_template_read(struct prompt_template *t, const char *path, struct err *err);
/* The same from memory; `path` is for the words. */
enum status prompt_template_parse(struct prompt_template *t, const char *path, const char *text,
                                  size_t n_bytes, struct err *err);

#endif
