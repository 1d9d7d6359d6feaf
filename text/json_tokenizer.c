#include <string.h>

#include "text/json_parts.h"

/* The id that a template's special token adds, -1 where the file is vague. */
static int32_t template_id(const struct tokenizer *tok, const json_t *item)
{
    const json_t *name = json_object_get(json_object_get(item, "SpecialToken"), "id");

    if (!json_is_string(name))
        return -1;
    return vocab_find(&tok->model.vocab, json_string_value(name), json_string_length(name));
}

/* The post-processor only adds special tokens. What it puts before a text is
 * its beginning, what it puts behind is its end. */
static enum status read_post_processor(struct tokenizer *tok, const json_t *node, int depth,
                                       struct err *err)
{
    const json_t *list, *item;
    const char *type;
    size_t i;
    enum status st;

    if (depth == 0 && (node == NULL || json_is_null(node)))
        return ST_OK;
    if (depth > JSON_MAX_NESTING)
        return err_set(err, ST_CORRUPT, "nested deeper than %d", JSON_MAX_NESTING);
    st = json_parts_type(node, &type, err);
    if (st != ST_OK || strcmp(type, "ByteLevel") == 0) /* corrects offsets, not ids */
        return st;
    if (strcmp(type, "Sequence") == 0) {
        json_array_foreach(json_object_get(node, "processors"), i, item)
        {
            st = read_post_processor(tok, item, depth + 1, err);
            if (st != ST_OK)
                return err_in(err, st, "processors[%zu]", i);
        }
        return ST_OK;
    }
    if (strcmp(type, "TemplateProcessing") != 0)
        return err_set(err, ST_UNSUPPORTED,
                       "type '%.40s' is not supported (Sequence, ByteLevel and "
                       "TemplateProcessing are)",
                       type);
    list = json_object_get(node, "single");
    if (json_array_size(list) > 1) {
        tok->bos = tok->begin = template_id(tok, json_array_get(list, 0));
        tok->eos = template_id(tok, json_array_get(list, json_array_size(list) - 1));
    }
    return ST_OK;
}

static enum status read_root(struct tokenizer *tok, const json_t *root, struct err *err)
{
    struct bpe_model *model = &tok->model;
    enum status st;

    tok->lists_added = true;
    st = json_model_read(model, json_object_get(root, "model"), err);

    if (st != ST_OK)
        return err_in(err, st, "model");
    st = json_normalizer_read(&tok->norm, json_object_get(root, "normalizer"), 0, err);
    if (st != ST_OK)
        return err_in(err, st, "normalizer");
    st = json_pretok_read(&tok->pretok, json_object_get(root, "pre_tokenizer"), 0, err);
    if (st != ST_OK)
        return err_in(err, st, "pre_tokenizer");
    st = json_decoder_read(&tok->decode, json_object_get(root, "decoder"), err);
    if (st != ST_OK)
        return err_in(err, st, "decoder");
    st = json_added_read(tok, json_object_get(root, "added_tokens"), err);
    if (st != ST_OK)
        return err_in(err, st, "added_tokens");
    st = read_post_processor(tok, json_object_get(root, "post_processor"), 0, err);
    return st == ST_OK ? ST_OK : err_in(err, st, "post_processor");
}

enum status json_tokenizer_read(struct tokenizer *tok, const char *bytes, size_t n, struct err *err)
{
    json_error_t at;
    json_t *root = json_loadb(bytes, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &at);
    enum status st;

    if (root == NULL)
        return err_set(err, ST_CORRUPT, "line %d, column %d: %s", at.line, at.column, at.text);
    st = read_root(tok, root, err);
    json_decref(root);
    return st;
}
