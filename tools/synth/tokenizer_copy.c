#include "tools/synth/tokenizer_copy.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "text/tokenizer.h"

#define MAX_FILE_BYTES ((size_t)64 << 20) /* what the tokenizer itself reads */

enum status tokenizer_copy_check(struct tokenizer_copy *out, const char *from, uint32_t n_vocab,
                                 struct err *err)
{
    struct tokenizer *tok = NULL;
    enum status st = tokenizer_open(&tok, from, err);

    if (st != ST_OK)
        return err_in(err, st, "the tokenizer");
    *out = (struct tokenizer_copy){.from = from,
                                   .n_ids = tokenizer_n_vocab(tok),
                                   .bos = tokenizer_bos(tok),
                                   .eos = tokenizer_eos(tok)};
    tokenizer_close(tok);
    if (out->n_ids > n_vocab)
        return err_set(err, ST_INVALID,
                       "the tokenizer %s has ids up to %u, the model's vocabulary has %u tokens: "
                       "a --tokenizer with fewer ids would be right",
                       from, out->n_ids - 1, n_vocab);
    return ST_OK;
}

static enum status copy_file(const char *from, const char *to_dir, const char *name,
                             struct err *err)
{
    char *to = mem_printf("%s/%s", to_dir, name), *bytes = NULL;
    size_t n_bytes = 0;
    enum status st = whole_file_read(&bytes, &n_bytes, from, MAX_FILE_BYTES, err);

    if (st == ST_OK)
        st = whole_file_write(to, bytes, n_bytes, err);
    free(bytes);
    free(to);
    return st;
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), n_end = strlen(end);

    return n > n_end && strcmp(name + n - n_end, end) == 0;
}

/* What a tokenizer reads beside its own file, and the form of a chat. */
static bool is_beside(const char *name)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json",
                                        "added_tokens.json", "chat_template.jinja"};
    bool found = false;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        found = found || strcmp(name, names[i]) == 0;
    return found;
}

/* What tokenizer_open takes from a directory. */
static bool is_own(const char *name)
{
    return strcmp(name, "tokenizer.json") == 0 || strcmp(name, "tokenizer.model") == 0 ||
           ends_in(name, ".tiktoken");
}

/* The files of `from` that stand beside a tokenizer's own and, with `own`, these too. */
static enum status copy_dir(const char *from, const char *to, bool own, struct err *err)
{
    DIR *list = opendir(from);
    enum status st = ST_OK;

    if (list == NULL)
        return err_set(err, ST_IO, "%s: %s", from, strerror(errno));
    for (const struct dirent *e = readdir(list); st == ST_OK && e != NULL; e = readdir(list)) {
        char *path = mem_printf("%s/%s", from, e->d_name);
        if (is_beside(e->d_name) || (own && is_own(e->d_name)))
            st = copy_file(path, to, e->d_name, err);
        free(path);
    }
    closedir(list);
    return st;
}

enum status tokenizer_copy_write(const struct tokenizer_copy *copy, const char *to, struct err *err)
{
    const char *slash = strrchr(copy->from, '/');
    bool is_json = ends_in(copy->from, ".json");
    struct stat info;
    char *folder;
    enum status st;

    if (stat(copy->from, &info) == 0 && S_ISDIR(info.st_mode))
        return copy_dir(copy->from, to, true, err);
    folder = slash != NULL ? mem_printf("%.*s/", (int)(slash - copy->from), copy->from)
                           : mem_strdup(".");
    st = copy_file(copy->from, to, is_json ? "tokenizer.json" : "tokenizer.model", err);
    if (st == ST_OK)
        st = copy_dir(folder, to, false, err);
    free(folder);
    return st;
}
