#include "text/tokenizer_config.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "text/json_parts.h"
#include "text/utf8.h"

#define MAX_CONFIG_BYTES ((size_t)16 << 20)

/* *out NULL: there is no such file. The caller gives it back with json_decref. */
static enum status read_object(json_t **out, const char *path, struct err *err)
{
    char *bytes = NULL;
    size_t n_bytes = 0;
    struct err missing = {{0}};
    json_error_t at;
    enum status st = whole_file_read(&bytes, &n_bytes, path, MAX_CONFIG_BYTES, &missing);

    *out = NULL;
    if (st == ST_NOT_FOUND)
        return ST_OK;
    if (st != ST_OK)
        return err_set(err, st, "%s", missing.text);
    /* model_max_length is often 1e30, written as an integer. */
    *out = json_loadb(bytes, n_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &at);
    free(bytes);
    if (*out == NULL)
        return err_set(err, ST_CORRUPT, "%s: line %d, column %d: %s", path, at.line, at.column,
                       at.text);
    if (json_is_object(*out))
        return ST_OK;
    json_decref(*out);
    *out = NULL;
    return err_set(err, ST_CORRUPT, "%s: not an object", path);
}

/* A string or {"content": string} names a token, null says "none", and a
 * missing key leaves what is known. */
static enum status read_end(struct tokenizer *tok, const json_t *config, const char *key,
                            int32_t *id, struct err *err)
{
    const json_t *value = json_object_get(config, key);
    char shown[UTF8_SHOW_BYTES];
    int32_t found = -1;

    if (json_is_object(value))
        value = json_object_get(value, "content");
    if (value == NULL)
        return ST_OK;
    if (!json_is_null(value) && !json_is_string(value))
        return err_set(err, ST_CORRUPT, "%s is neither a string nor null", key);
    if (json_is_string(value))
        found = vocab_find(&tok->model.vocab, json_string_value(value), json_string_length(value));
    if (json_is_string(value) && found < 0)
        return err_set(err, ST_CORRUPT, "%s '%s' is not in the vocabulary", key,
                       utf8_show(shown, json_string_value(value), json_string_length(value)));
    *id = found;
    if (found >= 0 && tok->model.vocab.entry[found].added)
        tok->model.vocab.entry[found].special = true;
    return ST_OK;
}

/* Whether a text begins with BOS: as add_bos_token says; without it Llama's class
 * does, and any other does what the tokenizer's own file says. */
static enum status read_begin(struct tokenizer *tok, const json_t *config, struct err *err)
{
    const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
    bool llama = class != NULL && strncmp(class, "LlamaTokenizer", 14) == 0;
    bool add = false, given = json_is_boolean(json_object_get(config, "add_bos_token"));
    enum status st = json_parts_bool(config, "add_bos_token", llama, &add, err);

    if (st == ST_OK && (given || llama))
        tok->begin = add ? tok->bos : -1;
    return st;
}

static enum status read_ends(struct tokenizer *tok, const json_t *config, struct err *err)
{
    /* A file that says of itself which token begins a text may be told another. */
    bool begins = tok->begin >= 0 && tok->begin == tok->bos;
    enum status st = read_end(tok, config, "bos_token", &tok->bos, err);

    if (st == ST_OK && begins && tok->bos >= 0)
        tok->begin = tok->bos;
    if (st == ST_OK)
        st = read_end(tok, config, "eos_token", &tok->eos, err);
    return st == ST_OK ? read_begin(tok, config, err) : st;
}

/* The ids of both lists are keys or values in decimal. */
static enum status read_id(const char *text, json_int_t *id, struct err *err)
{
    size_t n = strlen(text);

    if (n == 0 || n > 9 || strspn(text, "0123456789") != n)
        return err_set(err, ST_CORRUPT, "'%.20s' is no token id", text);
    *id = strtol(text, NULL, 10);
    return ST_OK;
}

/* True where the tokenizer's own file has this token under this id. */
static bool is_known(const struct tokenizer *tok, json_int_t id, const char *text, size_t n)
{
    return vocab_find(&tok->model.vocab, text, n) == id;
}

/* added_tokens_decoder: {"32000": {"content": "<pad>", "special": true, ...}} */
static enum status add_described(struct tokenizer *tok, const json_t *list, struct err *err)
{
    const char *key;
    json_t *node;

    if (list == NULL || json_is_null(list))
        return ST_OK;
    if (!json_is_object(list))
        return err_set(err, ST_CORRUPT, "added_tokens_decoder is not an object");
    json_object_foreach((json_t *)list, key, node)
    {
        const char *text;
        json_int_t id = 0;
        size_t n;
        enum status st = read_id(key, &id, err);

        if (st == ST_OK)
            st = json_parts_string(node, "content", &text, &n, err);
        if (st == ST_OK && !is_known(tok, id, text, n))
            st = json_added_token(tok, node, id, err);
        if (st != ST_OK)
            return err_in(err, st, "added_tokens_decoder: %.20s", key);
    }
    return ST_OK;
}

/* added_tokens.json: {"<pad>": 32000} */
static enum status add_listed(struct tokenizer *tok, const json_t *list, struct err *err)
{
    const char *text;
    size_t n;
    json_t *value;

    json_object_keylen_foreach((json_t *)list, text, n, value)
    {
        double number = json_is_number(value) ? json_number_value(value) : -1;
        json_int_t id = number >= 0 && number < VOCAB_MAX_IDS ? (json_int_t)number : -1;
        char shown[UTF8_SHOW_BYTES];
        json_t *node;
        enum status st = ST_OK;

        utf8_show(shown, text, n);
        if (n == 0 || id < 0 || (double)id != number)
            st = err_set(err, ST_CORRUPT, "no token id, or no text to it");
        if (st == ST_OK && !is_known(tok, id, text, n)) {
            node = json_pack("{s:o}", "content", json_stringn_nocheck(text, n));
            CHECK(node != NULL);
            st = json_added_token(tok, node, id, err);
            json_decref(node);
        }
        if (st != ST_OK)
            return err_in(err, st, "'%s'", shown);
    }
    return ST_OK;
}

static enum status apply_listed(struct tokenizer *tok, const char *folder, struct err *err)
{
    char *path = mem_printf("%sadded_tokens.json", folder);
    json_t *list;
    enum status st = read_object(&list, path, err);

    if (st == ST_OK && list != NULL) {
        st = add_listed(tok, list, err);
        if (st != ST_OK)
            err_in(err, st, "%s", path);
    }
    json_decref(list);
    free(path);
    return st;
}

enum status tokenizer_config_apply(struct tokenizer *tok, const char *folder, struct err *err)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json"};
    json_t *config = NULL;
    char *path = NULL;
    enum status st = ST_OK;

    for (int i = 0; i < 2 && st == ST_OK && config == NULL; i++) {
        free(path);
        path = mem_printf("%s%s", folder, names[i]);
        st = read_object(&config, path, err);
    }
    if (st == ST_OK && !tok->lists_added) {
        const json_t *described = json_object_get(config, "added_tokens_decoder");

        st = add_described(tok, described, err);
        if (st != ST_OK)
            err_in(err, st, "%s", path);
        if (st == ST_OK && described == NULL)
            st = apply_listed(tok, folder, err);
    }
    if (st == ST_OK && config != NULL) {
        st = read_ends(tok, config, err);
        if (st != ST_OK)
            err_in(err, st, "%s", path);
    }
    json_decref(config);
    free(path);
    return st;
}
