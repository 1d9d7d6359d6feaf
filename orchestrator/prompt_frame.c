#include "orchestrator/prompt_frame.h"

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

/* BOS, or what the chat form opens with; the text behind it stands at `place`. */
static void open_before(struct prompt_frame *frame, const struct chat_parts *chat)
{
    int32_t bos = tokenizer_bos(frame->tok);

    frame->place = TEXT_AT_START;
    if (chat == NULL) {
        if (bos >= 0)
            token_list_push(&frame->before, bos);
        return;
    }
    push_all(&frame->before, chat->before.id, chat->before.n);
    if (frame->before.n > 0)
        frame->place = tokenizer_is_special(frame->tok, frame->before.id[frame->before.n - 1])
                           ? TEXT_AFTER_TOKEN
                           : TEXT_WITHIN;
}

static enum status encode(const struct tokenizer *tok, const struct plain_text *text,
                          struct token_list *out, struct err *err)
{
    return text->n > 0 ? tokenizer_encode_plain(tok, text, out, err) : ST_OK;
}

enum status prompt_frame_encode(const struct prompt_frame *frame, const char *text, size_t n_bytes,
                                struct token_list *out, struct err *err)
{
    return encode(frame->tok, &(struct plain_text){text, n_bytes, frame->place}, out, err);
}

enum status prompt_frame_init(struct prompt_frame *frame, const struct tokenizer *tok,
                              const struct prompt_template *t, const struct chat_parts *chat,
                              struct err *err)
{
    enum status st;

    *frame = (struct prompt_frame){.tok = tok};
    token_list_init(&frame->before);
    token_list_init(&frame->after);
    open_before(frame, chat);
    st = encode(tok, &(struct plain_text){t->before.data, t->before.n, frame->place},
                &frame->before, err);
    if (t->before.n > 0)
        frame->place = TEXT_WITHIN;
    if (st == ST_OK)
        st = encode(tok, &(struct plain_text){t->after.data, t->after.n, TEXT_WITHIN},
                    &frame->after, err);
    if (st == ST_OK && chat != NULL)
        push_all(&frame->after, chat->after.id, chat->after.n);
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
