/*
 * chat_template.h - how an instruct model wants to be asked: a system text and
 * a user's text as token ids, up to where the answer begins.
 *
 * A checkpoint's own template is a program in Jinja. It is never executed: its
 * form is recognised by what the source holds (text/chat_form.h), and anything
 * else is refused. The marks of a form become the ids of special tokens; what
 * a system text or a user writes never does, however it is spelled.
 */
#ifndef TEXT_CHAT_TEMPLATE_H
#define TEXT_CHAT_TEMPLATE_H

#include "text/tokenizer.h"

struct chat_template;

/* Reads chat_template.jinja of the checkpoint directory, or else the
 * chat_template of its tokenizer_config.json (the entry "default" of a list).
 * ST_NOT_FOUND: there is none. ST_UNSUPPORTED: none of the known forms, which
 * the words name. ST_CORRUPT, ST_IO. */
enum status chat_template_open(struct chat_template **out, const char *dir, struct err *err);
void chat_template_close(struct chat_template *chat); /* NULL is fine */

/* "llama-2", "llama-3", "chatml" or "mistral"; static. */
const char *chat_template_name(const struct chat_template *chat);

/* Token ids around a user's text: BOS, the system text and what opens the
 * user's turn; what closes it and opens the answer. */
struct chat_parts {
    struct token_list before;
    struct token_list after;
};
void chat_parts_init(struct chat_parts *parts);
void chat_parts_release(struct chat_parts *parts); /* leaves empty lists */

/* Fills initialised, empty parts; the caller releases them, also on failure.
 * `system` NULL: the template's own default, which may be none. The ids
 * of a prompt are then before, those of chat_template_encode_user, after; a
 * document may be cut anywhere in the middle.
 * ST_UNSUPPORTED: the tokenizer lacks a token that the form needs, or the
 * template has no place for a system text. ST_INVALID as tokenizer_encode. */
enum status chat_template_render(const struct chat_template *chat, const struct tokenizer *tok,
                                 const char *system, struct chat_parts *out, struct err *err);

struct chat_prompt {
    const char *system; /* NULL: the template's default */
    const char *user;   /* [n_user] */
    size_t n_user;
};

/* Appends the ids of the user's text as they stand between the two parts of the
 * same system text. ST_INVALID as tokenizer_encode. */
enum status chat_template_encode_user(const struct chat_template *chat, const struct tokenizer *tok,
                                      const struct chat_prompt *prompt, struct token_list *out,
                                      struct err *err);

/* Appends the whole prompt, exactly as the rendered text is encoded. The same
 * ids as from the three pieces, unless the user's text begins or ends with
 * line breaks that the template leaves there and that merge with its own. */
enum status chat_template_encode(const struct chat_template *chat, const struct tokenizer *tok,
                                 const struct chat_prompt *prompt, struct token_list *out,
                                 struct err *err);

#endif
