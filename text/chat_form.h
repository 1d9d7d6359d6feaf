/*
 * chat_form.h - which of the known forms the source of a chat template has, and
 * what it puts around the texts of one question.
 *
 *   llama-2   [INST] <<SYS>>..<</SYS>>..[/INST]        (meta-llama/llama)
 *   llama-3   <|start_header_id|>..<|end_header_id|>   (meta-llama/llama3; 3.1 adds two dates)
 *   chatml    <|im_start|>..<|im_end|>                 (openai; Qwen)
 *   mistral   [INST]..[/INST], spaces by version       (mistralai/mistral-common)
 *
 * What differs between versions (spaces, default system text, stripping, the
 * date) is read off the source; a source that leaves doubt is refused.
 */
#ifndef TEXT_CHAT_FORM_H
#define TEXT_CHAT_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

#define CHAT_MAX_MARKS 4

struct chat_form {
    const char *name;
    const char *mark[CHAT_MAX_MARKS]; /* spellings of special tokens; NULL ends */
    bool marks_needed; /* otherwise a mark that the tokenizer has no token for is text */
    bool bos;
    bool strip; /* white space around the texts is dropped */
    bool has_system;
    bool system_inside; /* the user's turn, not before it */
    char *system;       /* the default, may be empty; NULL none; owned */
    /* Around the texts; marks are spelled out. Owned. */
    char *system_open, *system_close;
    char *user_open, *user_close;
};

/* Fills *out, which the caller releases, also on failure. ST_UNSUPPORTED: none
 * of the forms, or one of them with something that is not known. */
enum status chat_form_read(struct chat_form *out, const char *source, size_t n_bytes,
                           struct err *err);
void chat_form_release(struct chat_form *form); /* leaves an empty form */

#endif
