#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

/* Twice the largest files in use (35 MB); the tree of a hostile one of this size,
 * some 20 bytes a byte, still fits into memory. */
#define MAX_FILE_BYTES   ((size_t)64 << 20)
#define MAX_CONFIG_BYTES ((size_t)16 << 20)

/* null says "none"; a string or {"content": string} names a token. */
static enum status read_end(const struct tokenizer *tok, const json_t *config, const char *key,
                            int32_t *id, struct err *err)
{
    const json_t *value = json_object_get(config, key);
    char shown[UTF8_SHOW_BYTES];

    if (json_is_object(value))
        value = json_object_get(value, "content");
    *id = -1;
    if (value == NULL || json_is_null(value))
        return ST_OK;
    if (!json_is_string(value))
        return err_set(err, ST_CORRUPT, "%s is neither a string nor null", key);
    *id = vocab_find(&tok->model.vocab, json_string_value(value), json_string_length(value));
    if (*id < 0)
        return err_set(err, ST_CORRUPT, "%s '%s' is not in the vocabulary", key,
                       utf8_show(shown, json_string_value(value), json_string_length(value)));
    return ST_OK;
}

static enum status read_config(struct tokenizer *tok, const char *bytes, size_t n_bytes,
                               struct err *err)
{
    json_error_t at;
    /* model_max_length is often 1e30, written as an integer. */
    json_t *config =
        json_loadb(bytes, n_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &at);
    enum status st;

    if (config == NULL)
        return err_set(err, ST_CORRUPT, "line %d, column %d: %s", at.line, at.column, at.text);
    if (json_is_object(config)) {
        st = read_end(tok, config, "bos_token", &tok->bos, err);
        if (st == ST_OK)
            st = read_end(tok, config, "eos_token", &tok->eos, err);
    } else {
        st = err_set(err, ST_CORRUPT, "not an object");
    }
    json_decref(config);
    return st;
}

/* Asks the first of the files that is there which tokens begin and end a text. */
static enum status find_ends(struct tokenizer *tok, const char *file, struct err *err)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json"};
    const char *slash = strrchr(file, '/');
    int n_dir = slash ? (int)(slash - file) + 1 : 0;
    enum status st = ST_NOT_FOUND;

    for (int i = 0; i < 2 && st == ST_NOT_FOUND; i++) {
        char *path = mem_printf("%.*s%s", n_dir, file, names[i]);
        struct err missing = {{0}};
        char *bytes = NULL;
        size_t n_bytes = 0;

        st = whole_file_read(&bytes, &n_bytes, path, MAX_CONFIG_BYTES, &missing);
        if (st == ST_OK) {
            st = read_config(tok, bytes, n_bytes, err);
            if (st != ST_OK)
                err_in(err, st, "%s", path);
        } else if (st != ST_NOT_FOUND) {
            err_set(err, st, "%s", missing.text);
        }
        free(bytes);
        free(path);
    }
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status open_file(struct tokenizer **out, const char *path, struct err *err)
{
    struct tokenizer *tok = NULL;
    char *bytes = NULL;
    size_t n_bytes = 0;
    enum status st = whole_file_read(&bytes, &n_bytes, path, MAX_FILE_BYTES, err);

    if (st == ST_OK) {
        st = tokenizer_open_memory(&tok, bytes, n_bytes, err);
        if (st != ST_OK)
            err_in(err, st, "%s", path);
    }
    free(bytes);
    if (st == ST_OK && !tok->fixed_ends)
        st = find_ends(tok, path, err);
    if (st != ST_OK) {
        tokenizer_close(tok);
        return err_in(err, st, "opening the tokenizer");
    }
    *out = tok;
    return ST_OK;
}

enum status tokenizer_open(struct tokenizer **out, const char *dir_or_file, struct err *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    struct stat info;

    if (stat(dir_or_file, &info) != 0 || !S_ISDIR(info.st_mode))
        return open_file(out, dir_or_file, err);
    for (int i = 0; i < 2; i++) {
        char *path = mem_printf("%s/%s", dir_or_file, names[i]);
        bool there = stat(path, &info) == 0;
        enum status st = there ? open_file(out, path, err) : ST_NOT_FOUND;

        free(path);
        if (there)
            return st;
    }
    return err_set(err, ST_NOT_FOUND,
                   "opening the tokenizer: %s has neither tokenizer.json nor tokenizer.model",
                   dir_or_file);
}
