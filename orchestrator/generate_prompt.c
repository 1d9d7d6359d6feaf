#include "orchestrator/generate_prompt.h"

#include <string.h>

#include "text/chat_template.h"
#include "text/prompt.h"

static enum status encode_plainly(struct token_list *out, const struct tokenizer *tok,
                                  const struct text_buf *text, struct err *err)
{
    if (tokenizer_bos(tok) >= 0)
        token_list_push(out, tokenizer_bos(tok));
    return text->n > 0 ? tokenizer_encode(tok, text->data, text->n, out, err) : ST_OK;
}

static void append(struct token_list *out, const struct token_list *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        token_list_push(out, list->id[i]);
}

/* The beginning and the end of a longer prompt stay as they are. */
static enum status cut_chat(struct token_list *out, const struct chat_template *chat,
                            const struct tokenizer *tok, const struct chat_prompt *prompt,
                            uint32_t prefill, struct err *err)
{
    struct chat_parts parts;
    struct token_list user;
    uint32_t n_around;
    enum status st;

    chat_parts_init(&parts);
    token_list_init(&user);
    st = chat_template_render(chat, tok, prompt->system, &parts, err);
    if (st == ST_OK)
        st = chat_template_encode_user(chat, tok, prompt, &user, err);
    n_around = parts.before.n + parts.after.n;
    if (st == ST_OK && prefill <= n_around)
        st = err_set(err, ST_INVALID,
                     "--prefill %u leaves no room for the prompt: the chat template alone has %u "
                     "tokens",
                     prefill, n_around);
    if (st == ST_OK) {
        uint32_t room = prefill - n_around;

        append(out, &parts.before, parts.before.n);
        append(out, &user, user.n < room ? user.n : room);
        append(out, &parts.after, parts.after.n);
    }
    token_list_release(&user);
    chat_parts_release(&parts);
    return st;
}

static enum status encode_chat(struct token_list *out, const struct generate_options *opt,
                               const struct tokenizer *tok, const struct text_buf *text,
                               struct err *err)
{
    const struct chat_prompt prompt = {opt->system, text->n > 0 ? text->data : "", text->n};
    struct chat_template *chat = NULL;
    enum status st = chat_template_open(&chat, opt->target, err);

    if (st == ST_OK)
        st = chat_template_encode(chat, tok, &prompt, out, err);
    if (st == ST_OK && opt->prefill > 0 && (uint64_t)opt->prefill < out->n) {
        out->n = 0;
        st = cut_chat(out, chat, tok, &prompt, (uint32_t)opt->prefill, err);
    }
    chat_template_close(chat);
    return st == ST_OK ? ST_OK : err_in(err, st, "--chat");
}

enum status generate_prompt_encode(struct token_list *out, const struct generate_options *opt,
                                   const struct tokenizer *tok, struct err *err)
{
    struct text_buf text;
    enum status st = ST_OK;

    text_buf_init(&text);
    if (opt->prompt_file != NULL)
        st = prompt_read(&text, opt->prompt_file, err);
    if (opt->prompt != NULL)
        text_buf_add(&text, opt->prompt, strlen(opt->prompt));
    if (st == ST_OK) {
        st = opt->chat ? encode_chat(out, opt, tok, &text, err)
                       : encode_plainly(out, tok, &text, err);
        if (st != ST_OK)
            err_in(err, st, "the prompt");
    }
    text_buf_release(&text);
    return st;
}
