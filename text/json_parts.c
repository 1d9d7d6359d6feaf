#include "text/json_parts.h"

enum status json_parts_bool(const json_t *object, const char *key, bool otherwise, bool *out,
                            struct err *err)
{
    const json_t *value = json_object_get(object, key);

    if (value != NULL && !json_is_null(value) && !json_is_boolean(value))
        return err_set(err, ST_CORRUPT, "%s is neither true nor false", key);
    *out = json_is_boolean(value) ? json_is_true(value) : otherwise;
    return ST_OK;
}

enum status json_parts_string(const json_t *object, const char *key, const char **text, size_t *n,
                              struct err *err)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value))
        return err_set(err, ST_CORRUPT, "%s is missing or not a string", key);
    *text = json_string_value(value);
    *n = json_string_length(value);
    return ST_OK;
}

enum status json_parts_type(const json_t *node, const char **type, struct err *err)
{
    size_t n;

    if (!json_is_object(node))
        return err_set(err, ST_CORRUPT, "not an object");
    return json_parts_string(node, "type", type, &n, err);
}

enum status json_parts_pattern(const json_t *object, const char *key, struct pattern **out,
                               struct err *err)
{
    const json_t *node = json_object_get(object, key);
    bool is_regex = json_object_get(node, "Regex") != NULL;
    const char *text = "";
    size_t n = 0;
    enum status st;

    if (!json_is_object(node))
        return err_set(err, ST_CORRUPT, "%s is missing or not an object", key);
    st = json_parts_string(node, is_regex ? "Regex" : "String", &text, &n, err);
    if (st == ST_OK)
        st = pattern_open(out, is_regex ? PATTERN_REGEX : PATTERN_LITERAL, text, n, err);
    return st == ST_OK ? ST_OK : err_in(err, st, "%s", key);
}
