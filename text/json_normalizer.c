#include <string.h>

#include "text/json_parts.h"

static enum status read_sequence(struct normalizer *norm, const json_t *node, int depth,
                                 struct err *err)
{
    const json_t *list = json_object_get(node, "normalizers"), *item;
    size_t i;

    if (!json_is_array(list))
        return err_set(err, ST_CORRUPT, "normalizers is missing or not an array");
    json_array_foreach(list, i, item)
    {
        enum status st = json_normalizer_read(norm, item, depth + 1, err);

        if (st != ST_OK)
            return err_in(err, st, "normalizers[%zu]", i);
    }
    return ST_OK;
}

static enum status read_replace(struct normalizer *norm, const json_t *node, struct err *err)
{
    struct normalizer_stage stage = {.kind = NORM_REPLACE};
    const char *text;
    enum status st = json_parts_string(node, "content", &text, &stage.n_text, err);

    if (st == ST_OK)
        st = json_parts_pattern(node, "pattern", &stage.pattern, err);
    if (st != ST_OK)
        return st;
    stage.text = text_copy(text, stage.n_text);
    return normalizer_push(norm, &stage, err);
}

static enum status read_prepend(struct normalizer *norm, const json_t *node, struct err *err)
{
    struct normalizer_stage stage = {.kind = NORM_PREPEND};
    const char *text;
    enum status st = json_parts_string(node, "prepend", &text, &stage.n_text, err);

    if (st != ST_OK)
        return st;
    stage.text = text_copy(text, stage.n_text);
    return normalizer_push(norm, &stage, err);
}

enum status json_normalizer_read(struct normalizer *norm, const json_t *node, int depth,
                                 struct err *err)
{
    static const struct {
        const char *type;
        enum normalizer_kind kind;
    } forms[] = {{"NFC", NORM_NFC}, {"NFD", NORM_NFD}, {"NFKC", NORM_NFKC}, {"NFKD", NORM_NFKD}};
    const char *type;
    enum status st;

    if (depth == 0 && (node == NULL || json_is_null(node)))
        return ST_OK;
    if (depth > JSON_MAX_NESTING)
        return err_set(err, ST_CORRUPT, "nested deeper than %d", JSON_MAX_NESTING);
    st = json_parts_type(node, &type, err);
    if (st != ST_OK)
        return st;
    if (strcmp(type, "Sequence") == 0)
        return read_sequence(norm, node, depth, err);
    if (strcmp(type, "Replace") == 0)
        return read_replace(norm, node, err);
    if (strcmp(type, "Prepend") == 0)
        return read_prepend(norm, node, err);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct normalizer_stage stage = {.kind = forms[i].kind};

        if (strcmp(type, forms[i].type) == 0)
            return normalizer_push(norm, &stage, err);
    }
    return err_set(err, ST_UNSUPPORTED,
                   "type '%.40s' is not supported (Sequence, Prepend, Replace, NFC, NFD, NFKC and "
                   "NFKD are)",
                   type);
}
