#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/args.h"
#include "common/proc.h"
#include "orchestrator/command.h"
#include "text/tokenizer.h"

static const char program[] = "mspeckv tokenize";

static enum status read_stdin(struct text_buf *out, struct err *err)
{
    char block[65536];
    size_t n;

    while ((n = fread(block, 1, sizeof block, stdin)) > 0) {
        text_buf_add(out, block, n);
        if (out->n > TOKENIZER_MAX_TEXT_BYTES)
            return err_set(err, ST_INVALID, "the text on stdin is longer than %zu bytes",
                           TOKENIZER_MAX_TEXT_BYTES);
    }
    return ferror(stdin) ? err_set(err, ST_IO, "read stdin: %s", strerror(errno)) : ST_OK;
}

static enum status encode(const struct tokenizer *tok, const struct text_buf *text, struct err *err)
{
    struct token_list list;
    enum status st;

    token_list_init(&list);
    st = tokenizer_encode(tok, text->n > 0 ? text->data : "", text->n, &list, err);
    for (uint32_t i = 0; st == ST_OK && i < list.n; i++)
        printf("%s%d", i > 0 ? " " : "", (int)list.id[i]);
    if (st == ST_OK)
        putchar('\n');
    token_list_release(&list);
    return st;
}

/* Ids with blanks or line ends between them. `text` is changed. */
static enum status read_ids(struct text_buf *text, struct token_list *out, struct err *err)
{
    char *word, *rest = NULL;

    if (text->n > 0 && memchr(text->data, '\0', text->n) != NULL)
        return err_set(err, ST_INVALID, "stdin holds a NUL byte; ids are decimal numbers");
    text_buf_add(text, "", 1);
    for (word = strtok_r(text->data, " \t\r\n", &rest); word != NULL;
         word = strtok_r(NULL, " \t\r\n", &rest)) {
        int64_t id = 0;
        enum status st = args_int(word, 0, INT32_MAX, &id, err);
        if (st != ST_OK)
            return err_in(err, st, "id %u on stdin", out->n + 1);
        token_list_push(out, (int32_t)id);
    }
    return ST_OK;
}

static enum status decode(const struct tokenizer *tok, struct text_buf *text, struct err *err)
{
    struct token_list list;
    struct text_buf out;
    enum status st;

    token_list_init(&list);
    text_buf_init(&out);
    st = read_ids(text, &list, err);
    if (st == ST_OK)
        st = tokenizer_decode(tok, list.id, list.n, &out, err);
    if (st == ST_OK && out.n > 0)
        fwrite(out.data, 1, out.n, stdout);
    text_buf_release(&out);
    token_list_release(&list);
    return st;
}

int command_tokenize(int argc, char **argv)
{
    const char *path = NULL, *pattern = NULL;
    bool decodes = false;
    const struct arg_spec spec[] = {
        {.name = "tokenizer",
         .kind = ARG_STRING,
         .out = &path,
         .value = "PATH",
         .help = "directory or file of the tokenizer (required)"},
        {.name = "pattern",
         .kind = ARG_STRING,
         .out = &pattern,
         .value = "REGEX",
         .help = "how text is split, for tiktoken ranks unknown"},
        {.name = "decode",
         .kind = ARG_FLAG,
         .out = &decodes,
         .help = "ids on stdin, text on stdout"},
    };
    const size_t n_spec = sizeof spec / sizeof *spec;
    struct tokenizer *tok = NULL;
    struct text_buf text;
    struct err err = {{0}};
    enum status st = args_parse(spec, n_spec, argc, argv, NULL, &err);

    if (st == ST_CLOSED) {
        args_help(stdout, program, "--tokenizer DIR_OR_FILE [options]", spec, n_spec);
        return EXIT_DONE;
    }
    if (st == ST_OK && path == NULL)
        st = err_set(&err, ST_INVALID, "--tokenizer is missing: a directory or file");
    if (st != ST_OK)
        return exit_report(program, EXIT_USAGE, st, &err);
    text_buf_init(&text);
    st = tokenizer_open_split(&tok, path, pattern, &err);
    if (st == ST_OK)
        st = read_stdin(&text, &err);
    if (st == ST_OK)
        st = decodes ? decode(tok, &text, &err) : encode(tok, &text, &err);
    if (st == ST_OK && (fflush(stdout) != 0 || ferror(stdout)))
        st = err_set(&err, ST_IO, "write stdout: %s", strerror(errno));
    text_buf_release(&text);
    tokenizer_close(tok);
    return exit_report(program, EXIT_RUNTIME, st, &err);
}
