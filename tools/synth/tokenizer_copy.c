#include "tools/synth/tokenizer_copy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* The files that say how text becomes ids, those that are there. */
static enum status copy_dir(const char *from, const char *to, struct err *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model",
                                        "tokenizer_config.json", "special_tokens_map.json"};
    enum status st = ST_OK;

    for (size_t i = 0; st == ST_OK && i < sizeof names / sizeof names[0]; i++) {
        char *path = mem_printf("%s/%s", from, names[i]);
        if (access(path, F_OK) == 0)
            st = copy_file(path, to, names[i], err);
        free(path);
    }
    return st;
}

enum status tokenizer_copy_write(const struct tokenizer_copy *copy, const char *to, struct err *err)
{
    size_t n = strlen(copy->from), n_end = strlen(".json");
    struct stat info;

    if (stat(copy->from, &info) == 0 && S_ISDIR(info.st_mode))
        return copy_dir(copy->from, to, err);
    if (n > n_end && strcmp(copy->from + n - n_end, ".json") == 0)
        return copy_file(copy->from, to, "tokenizer.json", err);
    return copy_file(copy->from, to, "tokenizer.model", err);
}
