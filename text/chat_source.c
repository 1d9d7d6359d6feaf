#include "text/chat_source.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "text/utf8.h"

#define MAX_TEMPLATE_BYTES ((size_t)1 << 20) /* published ones stay below 20 KB */
#define MAX_CONFIG_BYTES   ((size_t)16 << 20)

static enum status none(const char *dir, struct err *err)
{
    return err_set(err, ST_NOT_FOUND,
                   "%s has no chat template: neither chat_template.jinja nor a chat_template in "
                   "tokenizer_config.json",
                   dir);
}

static enum status add_string(struct text_buf *out, const json_t *value, struct err *err)
{
    if (!json_is_string(value))
        return err_set(err, ST_CORRUPT, "it is not a string");
    if (json_string_length(value) > MAX_TEMPLATE_BYTES)
        return err_set(err, ST_CORRUPT, "it has %zu bytes, more than %zu",
                       json_string_length(value), MAX_TEMPLATE_BYTES);
    text_buf_add(out, json_string_value(value), json_string_length(value));
    return ST_OK;
}

static enum status add_named(struct text_buf *out, const json_t *list, struct err *err)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));

        if (name != NULL && strcmp(name, "default") == 0)
            return add_string(out, json_object_get(item, "template"), err);
    }
    return err_set(err, ST_UNSUPPORTED, "none of its %zu templates is named \"default\"",
                   json_array_size(list));
}

static enum status read_config(struct text_buf *out, const char *bytes, size_t n_bytes,
                               const char *dir, struct err *err)
{
    json_error_t at;
    /* model_max_length is often 1e30, written as an integer. */
    json_t *config =
        json_loadb(bytes, n_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &at);
    const json_t *value = json_object_get(config, "chat_template");
    enum status st;

    if (config == NULL)
        st = err_set(err, ST_CORRUPT, "%s/tokenizer_config.json: line %d, column %d: %s", dir,
                     at.line, at.column, at.text);
    else if (value == NULL || json_is_null(value))
        st = none(dir, err);
    else {
        st = json_is_array(value) ? add_named(out, value, err) : add_string(out, value, err);
        if (st != ST_OK)
            err_in(err, st, "%s/tokenizer_config.json: chat_template", dir);
    }
    json_decref(config);
    return st;
}

static enum status read_jinja(struct text_buf *out, const char *bytes, size_t n_bytes,
                              const char *path, struct err *err)
{
    size_t bad;

    if (!utf8_check(bytes, n_bytes, &bad))
        return err_set(err, ST_CORRUPT, "%s is not UTF-8: byte %zu is 0x%02X", path, bad,
                       (unsigned char)bytes[bad]);
    text_buf_add(out, bytes, n_bytes);
    return ST_OK;
}

enum status chat_source_read(struct text_buf *out, const char *dir, struct err *err)
{
    char *jinja = mem_printf("%s/chat_template.jinja", dir);
    char *config = mem_printf("%s/tokenizer_config.json", dir), *bytes = NULL;
    struct err missing = {{0}};
    size_t n_bytes = 0;
    enum status st = whole_file_read(&bytes, &n_bytes, jinja, MAX_TEMPLATE_BYTES, &missing);

    if (st == ST_OK) {
        st = read_jinja(out, bytes, n_bytes, jinja, err);
    } else if (st == ST_NOT_FOUND) {
        st = whole_file_read(&bytes, &n_bytes, config, MAX_CONFIG_BYTES, &missing);
        if (st == ST_OK)
            st = read_config(out, bytes, n_bytes, dir, err);
        else
            st = st == ST_NOT_FOUND ? none(dir, err) : err_set(err, st, "%s", missing.text);
    } else {
        err_set(err, st, "%s", missing.text);
    }
    free(bytes);
    free(config);
    free(jinja);
    return st;
}
