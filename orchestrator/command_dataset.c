#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/mem.h"
#include "common/proc.h"
#include "orchestrator/command.h"
#include "orchestrator/prompt_source.h"

static const char program[] = "mspeckv dataset";

enum { MAX_TOKENS = 16 << 20 };

/* The demo target's tokenizer: in the source folder around build/bin, in an
 * installation, or where the build was configured. Owned by the caller. */
static char *find_tokenizer(void)
{
    static const char *const beside[] = {"../../experiments/demo/target",
                                         "../share/mspeckv/experiments/demo/target"};
    char dir[PATH_MAX];

    for (size_t i = 0; i < 2 && proc_self_dir(dir, sizeof dir, NULL) == ST_OK; i++) {
        char *path = mem_printf("%s/%s/tokenizer.json", dir, beside[i]);
        if (access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return mem_strdup(MSPECKV_SOURCE_DIR "/experiments/demo/target/tokenizer.json");
}

/* Exactly n_tokens tokens: the beginning of the text that they spell. */
static enum status print_demo(const struct tokenizer *tok, uint64_t seed, uint32_t n_tokens,
                              struct err *err)
{
    struct text_buf text, cut;
    struct token_list list;
    enum status st;

    text_buf_init(&text);
    text_buf_init(&cut);
    token_list_init(&list);
    st = prompt_source_demo(&text, tok, seed, n_tokens, err);
    if (st == ST_OK)
        st = tokenizer_encode(tok, text.data, text.n, &list, err);
    if (st == ST_OK)
        st = tokenizer_decode(tok, list.id, n_tokens, &cut, err);
    if (st == ST_OK && (cut.n > text.n || memcmp(cut.data, text.data, cut.n) != 0))
        st =
            err_set(err, ST_CORRUPT, "the demo tokenizer does not give back the text it was given");
    if (st == ST_OK && fwrite(cut.data, 1, cut.n, stdout) == cut.n && fflush(stdout) != 0)
        st = err_set(err, ST_IO, "write stdout: %s", strerror(errno));
    if (st == ST_OK && ferror(stdout))
        st = err_set(err, ST_IO, "write stdout: %s", strerror(errno));
    token_list_release(&list);
    text_buf_release(&cut);
    text_buf_release(&text);
    return st;
}

int command_dataset(int argc, char **argv)
{
    int64_t n_tokens = 0, seed = 1;
    const struct arg_spec spec[] = {
        {.name = "tokens",
         .kind = ARG_INT,
         .out = &n_tokens,
         .min = 1,
         .max = MAX_TOKENS,
         .value = "N",
         .help = "length in tokens of the demo tokenizer (required)"},
        {.name = "seed",
         .kind = ARG_INT,
         .out = &seed,
         .min = 0,
         .max = 0x1p63,
         .value = "S",
         .help = "which text"},
    };
    const size_t n_spec = sizeof spec / sizeof *spec;
    const char *word[1] = {NULL};
    struct args_rest rest = {.item = word, .max_items = 1};
    struct tokenizer *tok = NULL;
    struct err err = {{0}};
    char *path;
    enum status st = args_parse(spec, n_spec, argc, argv, &rest, &err);

    if (st == ST_CLOSED) {
        args_help(stdout, program, "demo --tokens N --seed S", spec, n_spec);
        return EXIT_DONE;
    }
    if (st == ST_OK && (rest.n_items == 0 || strcmp(word[0], "demo") != 0))
        st = err_set(&err, ST_INVALID, "'%.80s' is no dataset; demo is",
                     rest.n_items > 0 ? word[0] : "");
    if (st == ST_OK && n_tokens == 0)
        st = err_set(&err, ST_INVALID, "--tokens is missing: how long the text shall be");
    if (st != ST_OK)
        return exit_report(program, EXIT_USAGE, st, &err);
    path = find_tokenizer();
    st = tokenizer_open(&tok, path, &err);
    if (st == ST_OK)
        st = print_demo(tok, (uint64_t)seed, (uint32_t)n_tokens, &err);
    tokenizer_close(tok);
    free(path);
    return exit_report(program, EXIT_RUNTIME, st, &err);
}
