#include "text/token_stream.h"

#include <string.h>

#include "text/byte_level.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

static void restart(struct token_stream *stream)
{
    stream->n_held = 0;
    stream->n_strip = stream->tok->decode.lead == LEAD_SPACES ? stream->tok->decode.n_strip : 0;
    stream->leading = true;
}

void token_stream_init(struct token_stream *stream, const struct tokenizer *tok)
{
    *stream = (struct token_stream){.tok = tok};
    restart(stream);
}

void token_stream_release(struct token_stream *stream)
{
    text_buf_release(&stream->bytes);
}

static void print(struct token_stream *stream, const char *text, size_t n, struct text_buf *out)
{
    if (stream->n_strip > 0 && n == 1 && text[0] == ' ') {
        stream->n_strip--;
        return;
    }
    stream->n_strip = 0;
    text_buf_add(out, text, n);
}

/* Gives up the first held byte, or all of them, as the format wants it. */
static void give_up(struct token_stream *stream, bool all, struct text_buf *out)
{
    print(stream, REPLACEMENT, 3, out);
    stream->n_held = all ? 0 : stream->n_held - 1;
    memmove(stream->held, stream->held + 1, stream->n_held);
}

/* Prints what the held bytes amount to. Only the last of them is new. */
static void settle(struct token_stream *stream, struct text_buf *out)
{
    while (stream->n_held > 0) {
        enum utf8_state state = utf8_state(stream->held, stream->n_held);

        if (state == UTF8_PART)
            return;
        if (state == UTF8_WHOLE) {
            print(stream, stream->held, stream->n_held, out);
            stream->n_held = 0;
        } else if (stream->tok->decode.fuse_bad && stream->n_held > 1) {
            /* All but the last were a good beginning: they go as one. */
            char last = stream->held[stream->n_held - 1];

            give_up(stream, true, out);
            stream->held[stream->n_held++] = last;
        } else {
            give_up(stream, false, out);
        }
    }
}

/* The piece with its space marks replaced, or dropped where the rules for the
 * beginning of the text say so. */
static void unmark(struct token_stream *stream, const char *piece, size_t n)
{
    const struct decode_rules *rules = &stream->tok->decode;
    bool drop_all = stream->leading && rules->lead == LEAD_FIRST_PIECE;
    bool drop_one = stream->leading && (rules->lead == LEAD_MARK || rules->lead == LEAD_MARKS);
    size_t done = 0;

    if (drop_one && n >= rules->n_space && memcmp(piece, rules->space, rules->n_space) == 0)
        done = rules->n_space;
    stream->leading = stream->leading && rules->lead == LEAD_MARKS && done > 0 && done == n;
    while (rules->space != NULL && done < n) {
        const char *hit = memmem(piece + done, n - done, rules->space, rules->n_space);

        if (hit == NULL)
            break;
        text_buf_add(&stream->bytes, piece + done, (size_t)(hit - piece) - done);
        if (!drop_all)
            text_buf_add(&stream->bytes, rules->space_to, rules->n_space_to);
        done = (size_t)(hit - piece) + rules->n_space;
    }
    text_buf_add(&stream->bytes, piece + done, n - done);
}

enum status token_stream_push(struct token_stream *stream, int32_t id, struct text_buf *out,
                              struct err *err)
{
    const struct decode_rules *rules = &stream->tok->decode;
    const struct vocab *vocab = &stream->tok->model.vocab;
    const struct vocab_entry *entry = vocab_at(vocab, id);
    const char *piece;
    uint8_t byte;

    if (entry == NULL)
        return err_set(err, ST_INVALID, "token id %d is not in the vocabulary (%u ids)", id,
                       vocab->n_ids);
    if (entry->special)
        return ST_OK;
    piece = vocab_printed(vocab, entry);
    stream->bytes.n = 0;
    if (rules->byte_pieces && entry->kind == VOCAB_BYTE &&
        vocab_is_byte_name(piece, entry->print_len, &byte)) {
        text_buf_add(&stream->bytes, (const char *)&byte, 1);
        stream->leading = false;
    } else if (!rules->byte_level || !byte_level_read(&stream->bytes, piece, entry->print_len)) {
        unmark(stream, piece, entry->print_len);
    }
    for (size_t i = 0; i < stream->bytes.n; i++) {
        stream->held[stream->n_held++] = stream->bytes.data[i];
        settle(stream, out);
    }
    return ST_OK;
}

void token_stream_flush(struct token_stream *stream, struct text_buf *out)
{
    while (stream->n_held > 0) {
        give_up(stream, stream->tok->decode.fuse_bad, out);
        if (stream->n_held > 0)
            settle(stream, out);
    }
    restart(stream);
}
