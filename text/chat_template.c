#include "text/chat_template.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "text/chat_form.h"
#include "text/chat_source.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

struct chat_template {
    struct chat_form form;
};

/* Writes a prompt: text gathers in `run` until a mark ends it. */
struct writer {
    const struct chat_form *form;
    const struct tokenizer *tok;
    int32_t mark_id[CHAT_MAX_MARKS]; /* -1: spelled as text */
    struct text_buf run;
    enum text_place place; /* of the run */
    struct token_list *out;
};

/* What is left of a text when white space at its ends is dropped. */
struct stripped {
    const char *text;
    size_t n;
};

enum status chat_template_open(struct chat_template **out, const char *dir, struct err *err)
{
    struct chat_template *chat = mem_zalloc(sizeof *chat);
    struct text_buf source;
    enum status st;

    text_buf_init(&source);
    st = chat_source_read(&source, dir, err);
    if (st == ST_OK) {
        st = chat_form_read(&chat->form, source.n > 0 ? source.data : "", source.n, err);
        if (st != ST_OK)
            err_in(err, st, "%s", dir);
    }
    text_buf_release(&source);
    if (st != ST_OK) {
        chat_template_close(chat);
        return st;
    }
    *out = chat;
    return ST_OK;
}

void chat_template_close(struct chat_template *chat)
{
    if (chat == NULL)
        return;
    chat_form_release(&chat->form);
    free(chat);
}

const char *chat_template_name(const struct chat_template *chat)
{
    return chat->form.name;
}

void chat_parts_init(struct chat_parts *parts)
{
    token_list_init(&parts->before);
    token_list_init(&parts->after);
}

void chat_parts_release(struct chat_parts *parts)
{
    token_list_release(&parts->before);
    token_list_release(&parts->after);
}

/* ---- the writer ---- */

/* The token that a mark is, -1 where the vocabulary has only text like it. */
static int32_t mark_id(const struct tokenizer *tok, const char *mark)
{
    int32_t id = vocab_find(&tok->model.vocab, mark, strlen(mark));
    const struct vocab_entry *e = vocab_at(&tok->model.vocab, id);

    return e != NULL && (e->special || e->added || e->kind == VOCAB_USER) ? id : -1;
}

static enum status writer_open(struct writer *w, const struct chat_form *form,
                               const struct tokenizer *tok, struct err *err)
{
    *w = (struct writer){.form = form, .tok = tok, .place = TEXT_AT_START};
    text_buf_init(&w->run);
    for (int i = 0; i < CHAT_MAX_MARKS && form->mark[i] != NULL; i++) {
        w->mark_id[i] = mark_id(tok, form->mark[i]);
        if (w->mark_id[i] < 0 && form->marks_needed)
            return err_set(err, ST_UNSUPPORTED,
                           "the chat template (%s) writes %s, which is no token of the tokenizer",
                           form->name, form->mark[i]);
    }
    if (form->bos && tok->bos < 0)
        return err_set(err, ST_UNSUPPORTED,
                       "the chat template (%s) begins with BOS, and the tokenizer names none",
                       form->name);
    return ST_OK;
}

static void writer_release(struct writer *w)
{
    text_buf_release(&w->run);
}

/* Marks were cut out of the run, so one in its ids was spelled by a user. */
static enum status check_marks(const struct writer *w, uint32_t from, struct err *err)
{
    for (uint32_t i = from; i < w->out->n; i++)
        for (int m = 0; m < CHAT_MAX_MARKS && w->form->mark[m] != NULL; m++)
            if (w->out->id[i] == w->mark_id[m])
                return err_set(err, ST_INVALID,
                               "the text spells %s, which this tokenizer cannot keep apart from "
                               "the chat template's own",
                               w->form->mark[m]);
    return ST_OK;
}

static enum status flush(struct writer *w, struct err *err)
{
    const struct plain_text text = {w->run.data, w->run.n, w->place};
    uint32_t before = w->out->n;
    enum status st = ST_OK;

    if (text.n > 0) {
        st = tokenizer_encode_plain(w->tok, &text, w->out, err);
        w->place = TEXT_WITHIN;
        w->run.n = 0;
    }
    return st == ST_OK ? check_marks(w, before, err) : st;
}

static enum status push_special(struct writer *w, int32_t id, struct err *err)
{
    enum status st = flush(w, err);

    token_list_push(w->out, id);
    w->place = TEXT_AFTER_TOKEN;
    return st;
}

/* The mark that text begins with, -1 for none that is a token. */
static int mark_at(const struct writer *w, const char *text)
{
    for (int i = 0; i < CHAT_MAX_MARKS && w->form->mark[i] != NULL; i++)
        if (w->mark_id[i] >= 0 && strncmp(text, w->form->mark[i], strlen(w->form->mark[i])) == 0)
            return i;
    return -1;
}

/* Text of the template: its marks become tokens. */
static enum status write_own(struct writer *w, const char *text, struct err *err)
{
    enum status st = ST_OK;

    while (st == ST_OK && *text != '\0') {
        int mark = mark_at(w, text);

        if (mark < 0) {
            text_buf_add(&w->run, text++, 1);
            continue;
        }
        st = push_special(w, w->mark_id[mark], err);
        text += strlen(w->form->mark[mark]);
    }
    return st;
}

/* ---- the texts ---- */

/* Python's strip also takes U+001C..U+001F. */
static bool is_blank(uint32_t code)
{
    return utf8_is_space(code) || (code >= 0x1C && code <= 0x1F);
}

static void strip_end(struct stripped *s)
{
    while (s->n > 0) {
        size_t last = utf8_last(s->text, s->n);

        if (!is_blank(utf8_code(s->text + last, s->n - last)))
            return;
        s->n = last;
    }
}

static void strip_begin(struct stripped *s)
{
    while (s->n > 0) {
        size_t len = utf8_len(s->text, s->n);

        if (!is_blank(utf8_code(s->text, len)))
            return;
        s->text += len;
        s->n -= len;
    }
}

static enum status check_text(const char *what, const char *text, size_t n, struct err *err)
{
    size_t bad;

    if (utf8_check(text, n, &bad))
        return ST_OK;
    return err_set(err, ST_INVALID, "the %s text is not UTF-8: byte %zu is 0x%02X", what, bad,
                   (unsigned char)text[bad]);
}

static const char *system_of(const struct chat_form *form, const char *given)
{
    return given != NULL ? given : form->system;
}

/* llama-2 strips both texts as the one that they are there. */
static struct stripped user_of(const struct chat_form *form, const struct chat_prompt *prompt)
{
    bool follows = form->system_inside && system_of(form, prompt->system) != NULL;
    struct stripped user = {prompt->user, prompt->n_user};

    if (form->strip)
        strip_end(&user);
    if (form->strip && !follows)
        strip_begin(&user);
    return user;
}

static enum status write_system(struct writer *w, const char *given, struct err *err)
{
    const struct chat_form *form = w->form;
    const char *system = system_of(form, given);
    struct stripped text;
    enum status st;

    if (given != NULL && !form->has_system)
        return err_set(err, ST_UNSUPPORTED,
                       "this checkpoint's chat template (%s) has no place for a system text",
                       form->name);
    if (system == NULL)
        return ST_OK;
    text = (struct stripped){system, strlen(system)};
    st = check_text("system", text.text, text.n, err);
    if (st == ST_OK && form->strip && !form->system_inside) {
        strip_end(&text);
        strip_begin(&text);
    }
    if (st == ST_OK)
        st = write_own(w, form->system_open, err);
    if (st == ST_OK) {
        text_buf_add(&w->run, text.text, text.n);
        st = write_own(w, form->system_close, err);
    }
    return st;
}

/* Everything in front of the user's text; its last text still waits in the run. */
static enum status write_before(struct writer *w, const char *system, struct err *err)
{
    const struct chat_form *form = w->form;
    enum status st = form->bos ? push_special(w, w->tok->bos, err) : ST_OK;

    if (st == ST_OK && !form->system_inside)
        st = write_system(w, system, err);
    if (st == ST_OK)
        st = write_own(w, form->user_open, err);
    if (st == ST_OK && form->system_inside)
        st = write_system(w, system, err);
    return st;
}

/* A blank in front of the user's text is encoded with it, as tokenizers do.
 * True if there is one; it is then no longer in the run. */
static bool take_blank(struct writer *w)
{
    bool is_there = w->run.n > 0 && w->run.data[w->run.n - 1] == ' ';

    w->run.n -= is_there;
    return is_there;
}

/* ---- prompts ---- */

enum status chat_template_render(const struct chat_template *chat, const struct tokenizer *tok,
                                 const char *system, struct chat_parts *out, struct err *err)
{
    struct writer w;
    enum status st = writer_open(&w, &chat->form, tok, err);

    w.out = &out->before;
    if (st == ST_OK)
        st = write_before(&w, system, err);
    if (st == ST_OK) {
        take_blank(&w);
        st = flush(&w, err);
    }
    w.out = &out->after;
    w.place = TEXT_WITHIN;
    if (st == ST_OK)
        st = write_own(&w, chat->form.user_close, err);
    if (st == ST_OK)
        st = flush(&w, err);
    writer_release(&w);
    return st;
}

enum status chat_template_encode_user(const struct chat_template *chat, const struct tokenizer *tok,
                                      const struct chat_prompt *prompt, struct token_list *out,
                                      struct err *err)
{
    struct token_list before;
    struct stripped user;
    struct writer w;
    bool blank = false;
    enum status st = writer_open(&w, &chat->form, tok, err);

    token_list_init(&before);
    w.out = &before;
    if (st == ST_OK)
        st = check_text("user's", prompt->user, prompt->n_user, err);
    if (st == ST_OK)
        st = write_before(&w, prompt->system, err);
    if (st == ST_OK) {
        blank = take_blank(&w);
        st = flush(&w, err);
    }
    w.out = out;
    if (st == ST_OK) {
        user = user_of(&chat->form, prompt);
        text_buf_add(&w.run, " ", blank);
        text_buf_add(&w.run, user.text, user.n);
        st = flush(&w, err);
    }
    token_list_release(&before);
    writer_release(&w);
    return st;
}

enum status chat_template_encode(const struct chat_template *chat, const struct tokenizer *tok,
                                 const struct chat_prompt *prompt, struct token_list *out,
                                 struct err *err)
{
    struct stripped user;
    struct writer w;
    enum status st = writer_open(&w, &chat->form, tok, err);

    w.out = out;
    if (st == ST_OK)
        st = check_text("user's", prompt->user, prompt->n_user, err);
    if (st == ST_OK)
        st = write_before(&w, prompt->system, err);
    if (st == ST_OK) {
        user = user_of(&chat->form, prompt);
        text_buf_add(&w.run, user.text, user.n);
        st = write_own(&w, chat->form.user_close, err);
    }
    if (st == ST_OK)
        st = flush(&w, err);
    writer_release(&w);
    return st;
}
