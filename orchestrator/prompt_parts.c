#include "orchestrator/prompt_parts.h"

static enum status read_template(struct prompt_template *out, const struct prompt_words *words,
                                 struct err *err)
{
    if (words->template_file != NULL)
        return prompt_template_read(out, words->template_file, err);
    return prompt_template_choose(out, words->template_word != NULL ? words->template_word : "none",
                                  err);
}

enum status prompt_parts_read(struct prompt_parts *out, const struct prompt_words *words,
                              const struct tokenizer *tok, struct err *err)
{
    enum status st;

    *out = (struct prompt_parts){.chat = NULL};
    prompt_template_init(&out->use);
    chat_parts_init(&out->around);
    st = read_template(&out->use, words, err);
    if (st != ST_OK || words->chat_dir == NULL)
        return st;
    st = chat_template_open(&out->chat, words->chat_dir, err);
    if (st == ST_OK)
        st = chat_template_render(out->chat, tok, NULL, &out->around, err);
    return st == ST_OK ? st : err_in(err, st, "chat form");
}

void prompt_parts_release(struct prompt_parts *parts)
{
    chat_parts_release(&parts->around);
    chat_template_close(parts->chat);
    prompt_template_release(&parts->use);
}
