/*
 * prompt_parts.h - what stands around every document of a study, as an
 * experiment file or a command line names it.
 */
#ifndef ORCHESTRATOR_PROMPT_PARTS_H
#define ORCHESTRATOR_PROMPT_PARTS_H

#include "common/status.h"
#include "text/chat_template.h"
#include "text/prompt_template.h"

struct prompt_words {
    const char *template_word; /* of prompt_template_words; NULL: "none", or template_file */
    const char *template_file; /* NULL: template_word */
    const char *chat_dir;      /* checkpoint whose chat form is taken; NULL: none */
};

struct prompt_parts {
    struct prompt_template use;
    struct chat_template *chat; /* NULL: no chat form; owned */
    struct chat_parts around;   /* of the chat form */
};

/* Fills *out; prompt_parts_release it in any case. Errors as prompt_template.h
 * and chat_template.h have them. */
enum status prompt_parts_read(struct prompt_parts *out, const struct prompt_words *words,
                              const struct tokenizer *tok, struct err *err);
void prompt_parts_release(struct prompt_parts *parts);

#endif
