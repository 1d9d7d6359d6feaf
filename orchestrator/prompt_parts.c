#include "orchestrator/prompt_parts.h"

static enum status read_template(struct prompt_template *out, const struct prompt_words *words,
                                 struct err *err)
{
    if (words->template_file != NULL)
        return prompt_template_read(out, words->template_file, err);
    return prompt_template_choose(out, words->template_word != NULL ? words->template_word : "none",
                                  err);
}

static enum status read_chat(struct chat_parts *out, const char *dir, const struct tokenizer *tok,
                             struct err *err)
{
    struct chat_template *chat = NULL;
    enum status st = chat_template_open(&chat, dir, err);

    if (st == ST_OK)
        st = chat_template_render(chat, tok, NULL, out, err);
    chat_template_close(chat);
    return st == ST_OK ? st : err_in(err, st, "chat form");
}

enum status prompt_parts_read(struct prompt_parts *out, const struct prompt_words *words,
                              const struct tokenizer *tok, struct err *err)
{
    enum status st;

    *out = (struct prompt_parts){.has_chat = words->chat_dir != NULL};
    prompt_template_init(&out->use);
    chat_parts_init(&out->chat);
    st = read_template(&out->use, words, err);
    if (st == ST_OK && out->has_chat)
        st = read_chat(&out->chat, words->chat_dir, tok, err);
    return st;
}

void prompt_parts_release(struct prompt_parts *parts)
{
    chat_parts_release(&parts->chat);
    prompt_template_release(&parts->use);
}
