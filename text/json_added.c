#include "text/json_parts.h"
#include "text/utf8.h"

/* Makes sure that the token's piece has the token's id. */
static enum status claim_id(struct bpe_model *model, const char *text, size_t n, json_int_t id,
                            struct err *err)
{
    char shown[UTF8_SHOW_BYTES];
    int32_t found = vocab_find(&model->vocab, text, n);

    if (found < 0)
        return vocab_add(&model->vocab, id, text, n, VOCAB_CONTROL, err);
    if (found != id)
        return err_set(err, ST_CORRUPT,
                       "token '%s' has id %" JSON_INTEGER_FORMAT " here and %d in the vocabulary",
                       utf8_show(shown, text, n), id, found);
    return ST_OK;
}

/* A token that is looked for in normalised text is itself normalised first, and prints so: where
 * the normaliser puts a mark before a segment, the space before the token comes back. */
static enum status push_normalized(struct tokenizer *tok, struct added_token *token,
                                   const char *text, size_t n, struct err *err)
{
    struct text_buf buf;
    enum status st;

    text_buf_init(&buf);
    text_buf_add(&buf, text, n);
    st = normalizer_run(&tok->norm, &buf, TEXT_AT_START, err);
    if (st == ST_OK && buf.n > 0) {
        token->text = text_copy(buf.data, buf.n);
        token->n = buf.n;
        added_set_push(&tok->added_normalized, token);
        st = vocab_print_as(&tok->model.vocab, token->id, buf.data, buf.n, err);
    }
    text_buf_release(&buf);
    return st;
}

enum status json_added_token(struct tokenizer *tok, const json_t *node, json_int_t id,
                             struct err *err)
{
    struct added_token token = {0};
    bool special, normalized;
    struct vocab_entry *entry;
    const char *text;
    size_t n;
    enum status st = json_parts_string(node, "content", &text, &n, err);

    if (st == ST_OK && n == 0)
        st = err_set(err, ST_CORRUPT, "content is empty");
    if (st == ST_OK)
        st = json_parts_bool(node, "special", false, &special, err);
    if (st == ST_OK)
        st = json_parts_bool(node, "normalized", !special, &normalized, err);
    if (st == ST_OK)
        st = json_parts_bool(node, "single_word", false, &token.single_word, err);
    if (st == ST_OK)
        st = json_parts_bool(node, "lstrip", false, &token.left_strip, err);
    if (st == ST_OK)
        st = json_parts_bool(node, "rstrip", false, &token.right_strip, err);
    if (st == ST_OK)
        st = claim_id(&tok->model, text, n, id, err);
    if (st != ST_OK)
        return st;
    token.id = (int32_t)id;
    entry = &tok->model.vocab.entry[token.id];
    if (entry->added)
        return err_set(err, ST_CORRUPT, "id %d stands in the list before", token.id);
    entry->added = true;
    entry->special = special;
    /* Without a tokenizer.json tokens are looked for in the text as it came. */
    if (normalized && tok->lists_added)
        return push_normalized(tok, &token, text, n, err);
    token.text = text_copy(text, n);
    token.n = n;
    added_set_push(&tok->added_raw, &token);
    return ST_OK;
}

enum status json_added_read(struct tokenizer *tok, const json_t *node, struct err *err)
{
    const json_t *item;
    enum status st = ST_OK;
    size_t i;

    if (node == NULL || json_is_null(node))
        return ST_OK;
    if (!json_is_array(node))
        return err_set(err, ST_CORRUPT, "not an array");
    json_array_foreach(node, i, item)
    {
        const json_t *id = json_object_get(item, "id");

        st = json_is_integer(id) ? json_added_token(tok, item, json_integer_value(id), err)
                                 : err_set(err, ST_CORRUPT, "id is not an integer");
        if (st != ST_OK)
            return err_in(err, st, "[%zu]", i);
    }
    return ST_OK;
}
