#include <string.h>

#include "text/json_parts.h"
#include "text/utf8.h"

/* Replace turns one text into another, in every piece. */
static enum status read_replace(struct decode_rules *rules, const json_t *node, struct err *err)
{
    const json_t *pattern = json_object_get(node, "pattern");
    const char *from, *to;
    size_t n_from, n_to;
    enum status st;

    if (json_object_get(pattern, "Regex") != NULL)
        return err_set(err, ST_UNSUPPORTED, "a Replace by a Regex is not supported");
    if (rules->space != NULL)
        return err_set(err, ST_UNSUPPORTED, "a second Replace is not supported");
    st = json_parts_string(pattern, "String", &from, &n_from, err);
    if (st != ST_OK)
        return err_in(err, st, "pattern");
    st = json_parts_string(node, "content", &to, &n_to, err);
    if (st != ST_OK)
        return st;
    if (n_from == 0)
        return err_set(err, ST_CORRUPT, "pattern is empty");
    rules->space = text_copy(from, n_from);
    rules->n_space = n_from;
    rules->space_to = text_copy(to, n_to);
    rules->n_space_to = n_to;
    return ST_OK;
}

static enum status read_strip(struct decode_rules *rules, const json_t *node, bool fused,
                              struct err *err)
{
    const char *content;
    size_t n;
    json_int_t start = json_integer_value(json_object_get(node, "start"));
    json_int_t stop = json_integer_value(json_object_get(node, "stop"));
    enum status st = json_parts_string(node, "content", &content, &n, err);

    if (st != ST_OK)
        return st;
    if (!fused || stop != 0 || strcmp(content, " ") != 0)
        return err_set(err, ST_UNSUPPORTED,
                       "a Strip is supported behind Fuse, of spaces, at the start only");
    if (start < 0 || start > 1000)
        return err_set(err, ST_CORRUPT, "start is not one of 0..1000");
    rules->lead = LEAD_SPACES;
    rules->n_strip = (unsigned)start;
    return ST_OK;
}

static enum status read_metaspace(struct decode_rules *rules, const json_t *node, struct err *err)
{
    const json_t *scheme = json_object_get(node, "prepend_scheme");
    const char *mark, *name = json_string_value(scheme);
    bool drop = name == NULL || strcmp(name, "never") != 0;
    size_t n;
    enum status st = json_parts_string(node, "replacement", &mark, &n, err);

    if (st == ST_OK && (n == 0 || utf8_len(mark, n) != n || rules->space != NULL))
        st = err_set(err, ST_CORRUPT, "replacement is not one character, or not the only one");
    if (st == ST_OK && scheme == NULL)
        st = json_parts_bool(node, "add_prefix_space", true, &drop, err);
    if (st != ST_OK)
        return st;
    rules->lead = drop ? LEAD_FIRST_PIECE : LEAD_KEEP;
    rules->space = text_copy(mark, n);
    rules->n_space = n;
    rules->space_to = text_copy(" ", 1);
    rules->n_space_to = 1;
    return ST_OK;
}

static enum status read_one(struct decode_rules *rules, const json_t *node, bool *fused,
                            struct err *err)
{
    const char *type;
    enum status st = json_parts_type(node, &type, err);

    if (st != ST_OK)
        return st;
    if (rules->byte_level)
        return err_set(err, ST_UNSUPPORTED, "a decoder behind ByteLevel is not supported");
    if (strcmp(type, "Replace") == 0 && !rules->byte_pieces && !*fused)
        return read_replace(rules, node, err);
    if (strcmp(type, "Strip") == 0)
        return read_strip(rules, node, *fused, err);
    if (strcmp(type, "Metaspace") == 0 && !rules->byte_pieces && !*fused)
        return read_metaspace(rules, node, err);
    if (strcmp(type, "ByteFallback") == 0 && !*fused)
        rules->byte_pieces = true;
    else if (strcmp(type, "ByteLevel") == 0 && rules->space == NULL && !*fused)
        rules->byte_level = rules->fuse_bad = true;
    else if (strcmp(type, "Fuse") == 0)
        *fused = true;
    else
        return err_set(err, ST_UNSUPPORTED,
                       "type '%.40s' is not supported here (ByteLevel; or Replace or Metaspace, "
                       "ByteFallback, Fuse, Strip in this order are)",
                       type);
    return ST_OK;
}

enum status json_decoder_read(struct decode_rules *rules, const json_t *node, struct err *err)
{
    const char *type = json_string_value(json_object_get(node, "type"));
    const json_t *list = json_object_get(node, "decoders"), *item;
    bool fused = false;
    enum status st = ST_OK;
    size_t i;

    if (node == NULL || json_is_null(node))
        return err_set(err, ST_UNSUPPORTED,
                       "there is none, so how tokens become text again is not known");
    if (type == NULL || strcmp(type, "Sequence") != 0)
        return read_one(rules, node, &fused, err);
    if (!json_is_array(list))
        return err_set(err, ST_CORRUPT, "decoders is missing or not an array");
    json_array_foreach(list, i, item)
    {
        st = read_one(rules, item, &fused, err);
        if (st != ST_OK)
            return err_in(err, st, "decoders[%zu]", i);
    }
    return ST_OK;
}
