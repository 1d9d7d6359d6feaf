#include "orchestrator/json_line.h"

#include <string.h>

#include <jansson.h>

#include "text/utf8.h"

bool json_line_is_field(const char *field)
{
    size_t n = strlen(field);

    return n > 0 && n <= JSON_LINE_FIELD_BYTES && field[0] != '.' && field[n - 1] != '.' &&
           strstr(field, "..") == NULL;
}

bool json_line_is_blank(const char *line, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_NULL:
        return "null";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a switch";
    default:
        return "a number";
    }
}

/* Follows the dots; *out is borrowed from `object`. */
static enum status find(const json_t **out, const json_t *object, const char *field,
                        struct err *err)
{
    const char *part = field;

    for (;;) {
        size_t n = strcspn(part, ".");
        int n_up_to = (int)(part + n - field);

        if (!json_is_object(object))
            return err_set(
                err, ST_INVALID, "%s%.*s%s is %s; an object with \"%.*s\" would be right",
                part == field ? "the line" : "\"", part == field ? 0 : (int)(part - field - 1),
                field, part == field ? "" : "\"", kind_of(object), (int)n, part);
        object = json_object_getn(object, part, n);
        if (object == NULL)
            return err_set(err, ST_INVALID,
                           "no field \"%.*s\"; one that holds the text would be right, and "
                           "dataset: {path: FILE, field: NAME} names another",
                           n_up_to, field);
        if (part[n] == '\0')
            break;
        part += n + 1;
    }
    *out = object;
    return ST_OK;
}

enum status json_line_text(struct text_buf *out, const char *line, size_t n_bytes,
                           const char *field, struct err *err)
{
    /* Numbers are not looked at, so that none is too long. */
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    const json_t *value = NULL;
    json_error_t where;
    json_t *root;
    size_t bad = 0;
    enum status st;

    if (!utf8_check(line, n_bytes, &bad))
        return err_set(err, ST_INVALID, "byte %zu of the line is 0x%02X, which is no UTF-8", bad,
                       (unsigned char)line[bad]);
    root = json_loadb(line, n_bytes, flags, &where);
    if (root == NULL)
        return err_set(err, ST_INVALID,
                       "no JSON at column %d: %s; an object, as {\"%s\": \"...\"}, would be right",
                       where.column, where.text, field);
    st = find(&value, root, field, err);
    if (st == ST_OK && !json_is_string(value))
        st = err_set(err, ST_INVALID, "field \"%s\" is %s; a text in quotes would be right", field,
                     kind_of(value));
    if (st == ST_OK) {
        out->n = 0;
        text_buf_add(out, json_string_value(value), json_string_length(value));
    }
    json_decref(root);
    return st;
}
