#include <string.h>

#include "text/json_parts.h"
#include "text/utf8.h"

static enum status read_vocab(struct bpe_model *model, const json_t *vocab, struct err *err)
{
    const char *piece;
    size_t len;
    json_t *id;

    if (!json_is_object(vocab))
        return err_set(err, ST_CORRUPT, "vocab is missing or not an object");
    if (json_object_size(vocab) == 0)
        return err_set(err, ST_CORRUPT, "vocab is empty");
    json_object_keylen_foreach((json_t *)vocab, piece, len, id)
    {
        char shown[UTF8_SHOW_BYTES];
        uint8_t byte;
        enum status st;

        if (!json_is_integer(id))
            return err_set(err, ST_CORRUPT, "vocab: the id of '%s' is not an integer",
                           utf8_show(shown, piece, len));
        st = vocab_add(&model->vocab, json_integer_value(id), piece, len,
                       vocab_is_byte_name(piece, len, &byte) ? VOCAB_BYTE : VOCAB_NORMAL, err);
        if (st != ST_OK)
            return err_in(err, st, "vocab");
    }
    return ST_OK;
}

/* A merge is "left right" or ["left", "right"]. */
static enum status merge_sides(const json_t *merge, const char *side[2], size_t n[2],
                               struct err *err)
{
    const char *text = json_string_value(merge), *space;

    if (text != NULL) {
        size_t len = json_string_length(merge);

        space = memchr(text, ' ', len);
        if (space == NULL || memchr(space + 1, ' ', len - (size_t)(space + 1 - text)) != NULL)
            return err_set(err, ST_CORRUPT, "not two pieces with one space between them");
        side[0] = text;
        n[0] = (size_t)(space - text);
        side[1] = space + 1;
        n[1] = len - n[0] - 1;
    } else {
        if (json_array_size(merge) != 2)
            return err_set(err, ST_CORRUPT, "neither a string nor a list of two");
        for (size_t i = 0; i < 2; i++) {
            side[i] = json_string_value(json_array_get(merge, i));
            n[i] = json_string_length(json_array_get(merge, i));
            if (side[i] == NULL)
                return err_set(err, ST_CORRUPT, "neither a string nor a list of two strings");
        }
    }
    if (n[0] == 0 || n[1] == 0)
        return err_set(err, ST_CORRUPT, "one of its pieces is empty");
    return ST_OK;
}

static enum status find_piece(const struct bpe_model *model, const char *piece, size_t len,
                              int32_t *id, struct err *err)
{
    char shown[UTF8_SHOW_BYTES];

    *id = vocab_find(&model->vocab, piece, len);
    if (*id < 0)
        return err_set(err, ST_CORRUPT, "'%s' is not in the vocabulary",
                       utf8_show(shown, piece, len));
    return ST_OK;
}

static enum status read_merge(struct bpe_model *model, const json_t *merge, uint32_t rank,
                              struct text_buf *joined, struct err *err)
{
    struct bpe_pair pair = {.rank = rank};
    const char *side[2];
    size_t n[2];
    enum status st = merge_sides(merge, side, n, err);

    if (st == ST_OK)
        st = find_piece(model, side[0], n[0], &pair.left, err);
    if (st == ST_OK)
        st = find_piece(model, side[1], n[1], &pair.right, err);
    if (st != ST_OK)
        return st;
    joined->n = 0;
    text_buf_add(joined, side[0], n[0]);
    text_buf_add(joined, side[1], n[1]);
    st = find_piece(model, joined->data, joined->n, &pair.merged, err);
    if (st == ST_OK && !bpe_pairs_add(&model->pairs, &pair))
        st = err_set(err, ST_CORRUPT, "stands in the list before");
    return st;
}

static enum status read_merges(struct bpe_model *model, const json_t *merges, struct err *err)
{
    struct text_buf joined;
    const json_t *merge;
    enum status st = ST_OK;
    size_t i;

    if (!json_is_array(merges))
        return err_set(err, ST_CORRUPT, "merges is missing or not an array");
    text_buf_init(&joined);
    json_array_foreach(merges, i, merge)
    {
        st = read_merge(model, merge, (uint32_t)i, &joined, err);
        if (st != ST_OK) {
            err_in(err, st, "merges[%zu]", i);
            break;
        }
    }
    text_buf_release(&joined);
    return st;
}

/* Members whose use would change the ids and that no model here needs. */
static enum status refuse_extras(const json_t *node, struct err *err)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const json_t *dropout = json_object_get(node, "dropout");

    for (int i = 0; i < 2; i++) {
        const json_t *value = json_object_get(node, affixes[i]);

        if (value != NULL && !json_is_null(value) && json_string_length(value) > 0)
            return err_set(err, ST_UNSUPPORTED, "%s is not supported", affixes[i]);
    }
    if (dropout != NULL && !json_is_null(dropout) && json_number_value(dropout) != 0.0)
        return err_set(err, ST_UNSUPPORTED, "dropout is not supported");
    return ST_OK;
}

static enum status read_unknown(struct bpe_model *model, const json_t *node, struct err *err)
{
    const json_t *unknown = json_object_get(node, "unk_token");
    enum status st;

    if (unknown == NULL || json_is_null(unknown))
        return ST_OK;
    if (!json_is_string(unknown))
        return err_set(err, ST_CORRUPT, "unk_token is not a string");
    st = find_piece(model, json_string_value(unknown), json_string_length(unknown), &model->unknown,
                    err);
    return st == ST_OK ? ST_OK : err_in(err, st, "unk_token");
}

enum status json_model_read(struct bpe_model *model, const json_t *node, struct err *err)
{
    const char *type = json_string_value(json_object_get(node, "type"));
    enum status st;

    if (!json_is_object(node))
        return err_set(err, ST_CORRUPT, "missing or not an object");
    /* The oldest files have merges and no type. */
    if (type == NULL && !json_is_array(json_object_get(node, "merges")))
        return err_set(err, ST_CORRUPT, "type is missing or not a string");
    if (type != NULL && strcmp(type, "BPE") != 0)
        return err_set(err, ST_UNSUPPORTED, "type '%.40s' is not supported (BPE is)", type);
    st = refuse_extras(node, err);
    if (st == ST_OK)
        st = json_parts_bool(node, "byte_fallback", false, &model->byte_fallback, err);
    if (st == ST_OK)
        st = json_parts_bool(node, "fuse_unk", false, &model->fuse_unknown, err);
    if (st == ST_OK)
        st = json_parts_bool(node, "ignore_merges", false, &model->whole_first, err);
    if (st == ST_OK)
        st = read_vocab(model, json_object_get(node, "vocab"), err);
    if (st == ST_OK)
        st = read_unknown(model, node, err);
    if (st == ST_OK)
        st = read_merges(model, json_object_get(node, "merges"), err);
    return st;
}
