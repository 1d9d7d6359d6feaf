#include "model/json_doc.h"

struct json_word json_doc_word(const char *text)
{
    struct json_word word = {{0}};

    for (size_t i = 0; i + 1 < sizeof word.text && text[i] != '\0'; i++)
        word.text[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    return word;
}

enum status json_doc_parse(json_t **out, const char *text, size_t n_bytes, const char *name,
                           struct err *err)
{
    json_error_t where;
    json_t *root;

    if (n_bytes > JSON_DOC_MAX_BYTES)
        return err_set(err, ST_CORRUPT, "%s: %zu bytes of JSON, at most %d are allowed", name,
                       n_bytes, JSON_DOC_MAX_BYTES);
    root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL)
        return err_set(err, ST_CORRUPT, "%s:%d:%d: %s", name, where.line, where.column,
                       json_doc_word(where.text).text);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ST_CORRUPT, "%s: holds no JSON object", name);
    }
    *out = root;
    return ST_OK;
}
