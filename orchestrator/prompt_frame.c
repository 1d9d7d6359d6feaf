#include "orchestrator/prompt_frame.h"

#include <string.h>

#include "common/mem.h"
#include "text/token_stream.h"

/* A character has at most 4 bytes and a token of text at least one, so that a
 * few tokens before the cut show whether it is whole. */
enum { LOOK_BACK_TOKENS = 32 };

/* The last id of `text` that prints; -1: none. */
static enum status last_printing(const struct tokenizer *tok, const char *text, int32_t *out,
                                 struct err *err)
{
    struct token_list list;
    enum status st;

    token_list_init(&list);
    st = tokenizer_encode(tok, text, 1, &list, err);
    if (st == ST_OK && list.n > 0 && !tokenizer_is_special(tok, list.id[list.n - 1]))
        *out = list.id[list.n - 1];
    token_list_release(&list);
    return st;
}

static enum status find_filler(struct prompt_frame *frame, struct err *err)
{
    enum status st;

    frame->filler = -1;
    st = last_printing(frame->tok, "\n", &frame->filler, err);
    if (st == ST_OK && frame->filler < 0)
        st = last_printing(frame->tok, " ", &frame->filler, err);
    if (st == ST_OK && frame->filler < 0)
        st = err_set(err, ST_INVALID, "the tokenizer has no token for a line break or a blank");
    return st;
}

static void push_all(struct token_list *out, const int32_t *id, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        token_list_push(out, id[i]);
}

static enum status encode_plain(const struct tokenizer *tok, struct plain_text text,
                                struct token_list *out, struct err *err)
{
    return text.n > 0 ? tokenizer_encode_plain(tok, &text, out, err) : ST_OK;
}

enum status prompt_frame_encode(const struct prompt_frame *frame, const char *text, size_t n_bytes,
                                struct token_list *out, struct err *err)
{
    const struct chat_prompt first = {.user = text, .n_user = n_bytes};

    if (frame->chat != NULL && n_bytes > 0)
        return chat_template_encode_user(frame->chat, frame->tok, &first, out, err);
    return encode_plain(frame->tok, (struct plain_text){text, n_bytes, frame->place}, out, err);
}

/* Bytes of the text without the white space at its end, which a chat form may
 * drop though a document follows. */
static size_t body_bytes(const struct text_buf *text)
{
    size_t n = text->n;

    while (n > 0 && strchr(" \t\r\n", text->data[n - 1]) != NULL && text->data[n - 1] != '\0')
        n--;
    return n;
}

/* The instruction in front; what follows it stands within a text. */
static enum status encode_before(struct prompt_frame *frame, const struct text_buf *text,
                                 struct err *err)
{
    size_t n = frame->chat != NULL ? body_bytes(text) : text->n;
    enum status st;

    if (text->n == 0)
        return ST_OK;
    st = prompt_frame_encode(frame, text->data, n, &frame->before, err);
    frame->chat = NULL;
    frame->place = TEXT_WITHIN;
    if (st == ST_OK)
        st = prompt_frame_encode(frame, text->data + n, text->n - n, &frame->before, err);
    return st;
}

enum status prompt_frame_init(struct prompt_frame *frame, const struct tokenizer *tok,
                              const struct prompt_parts *parts, struct err *err)
{
    const struct text_buf *after = &parts->use.after;
    int32_t bos = tokenizer_bos(tok);
    enum status st;

    *frame = (struct prompt_frame){.tok = tok, .chat = parts->chat, .place = TEXT_AT_START};
    token_list_init(&frame->before);
    token_list_init(&frame->after);
    if (parts->chat == NULL && bos >= 0)
        token_list_push(&frame->before, bos);
    push_all(&frame->before, parts->around.before.id, parts->around.before.n);
    st = encode_before(frame, &parts->use.before, err);
    if (st == ST_OK)
        st = encode_plain(tok, (struct plain_text){after->data, after->n, TEXT_WITHIN},
                          &frame->after, err);
    push_all(&frame->after, parts->around.after.id, parts->around.after.n);
    if (st == ST_OK)
        st = find_filler(frame, err);
    if (st == ST_OK)
        return ST_OK;
    prompt_frame_release(frame);
    return err_in(err, st, "instruction of the prompt");
}

void prompt_frame_release(struct prompt_frame *frame)
{
    token_list_release(&frame->before);
    token_list_release(&frame->after);
}

uint32_t prompt_frame_tokens(const struct prompt_frame *frame)
{
    return frame->before.n + frame->after.n;
}

/* How many of the first n ids end with a whole character. */
static uint32_t whole_tokens(const struct tokenizer *tok, const int32_t *id, uint32_t n)
{
    uint32_t from = n > LOOK_BACK_TOKENS ? n - LOOK_BACK_TOKENS : 0, n_whole = from;
    struct token_stream stream;
    struct text_buf printed;

    text_buf_init(&printed);
    token_stream_init(&stream, tok);
    for (uint32_t i = from; i < n; i++) {
        CHECK(token_stream_push(&stream, id[i], &printed, NULL) == ST_OK);
        if (stream.n_held == 0)
            n_whole = i + 1;
    }
    token_stream_release(&stream);
    text_buf_release(&printed);
    return n_whole;
}

void prompt_frame_join(const struct prompt_frame *frame, const int32_t *document, uint32_t n_tokens,
                       struct token_list *out)
{
    uint32_t n_room, n_whole;

    CHECK(n_tokens > prompt_frame_tokens(frame));
    n_room = n_tokens - prompt_frame_tokens(frame);
    n_whole = whole_tokens(frame->tok, document, n_room);
    out->n = 0;
    push_all(out, frame->before.id, frame->before.n);
    push_all(out, document, n_whole);
    for (uint32_t i = n_whole; i < n_room; i++)
        token_list_push(out, frame->filler);
    push_all(out, frame->after.id, frame->after.n);
}
