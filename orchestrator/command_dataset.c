#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/mem.h"
#include "common/proc.h"
#include "orchestrator/command.h"
#include "orchestrator/experiment.h"
#include "orchestrator/json_line.h"
#include "orchestrator/prompt_source.h"

static const char program[] = "mspeckv dataset";

enum { MAX_TOKENS = 16 << 20 };

struct options {
    const char *dataset, *target, *field;
    struct prompt_words words;
    int64_t n_tokens, seed, document, n_documents;
    bool chat, skip_short, ids;
};

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

static enum status print_text(const struct text_buf *text, struct err *err)
{
    if (text->n > 0)
        fwrite(text->data, 1, text->n, stdout);
    if (fflush(stdout) != 0 || ferror(stdout))
        return err_set(err, ST_IO, "write stdout: %s", strerror(errno));
    return ST_OK;
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
    if (st == ST_OK)
        st = print_text(&cut, err);
    token_list_release(&list);
    text_buf_release(&cut);
    text_buf_release(&text);
    return st;
}

static enum status demo_alone(const struct options *opt, struct err *err)
{
    char *path = find_tokenizer();
    struct tokenizer *tok = NULL;
    enum status st = tokenizer_open(&tok, path, err);

    if (st == ST_OK)
        st = print_demo(tok, (uint64_t)opt->seed, (uint32_t)opt->n_tokens, err);
    tokenizer_close(tok);
    free(path);
    return st;
}

/* ---- the prompt of a study ---- */

static enum status print_prompt(const struct options *opt, const struct tokenizer *tok,
                                struct prompt_source *source, struct err *err)
{
    uint32_t document = (uint32_t)opt->document - 1, n = (uint32_t)opt->n_tokens;
    const int32_t *id;
    struct text_buf text;
    enum status st = ST_OK;

    fprintf(stderr, "document %u of %u: %s, %u tokens, xxh3-64:%016" PRIx64 "\n", document + 1,
            (unsigned)opt->n_documents, prompt_source_name(source, document), n,
            prompt_source_hash(source, document, n));
    id = prompt_source_tokens(source, document, n);
    text_buf_init(&text);
    if (!opt->ids)
        st = tokenizer_decode(tok, id, n, &text, err);
    for (uint32_t i = 0; opt->ids && i < n; i++) {
        char word[16];
        int n_word = snprintf(word, sizeof word, "%" PRId32 "%c", id[i], i + 1 < n ? ' ' : '\n');
        text_buf_add(&text, word, (size_t)n_word);
    }
    if (st == ST_OK)
        st = print_text(&text, err);
    text_buf_release(&text);
    return st;
}

static enum status prompt_of_study(const struct options *opt, struct err *err)
{
    struct prompt_parts parts = {.chat = NULL};
    struct prompt_source_args args = {.parts = &parts,
                                      .dataset = opt->dataset,
                                      .field = opt->field,
                                      .skip_short = opt->skip_short,
                                      .n_documents = (uint32_t)opt->n_documents,
                                      .document_seed = (uint64_t)opt->seed,
                                      .n_tokens = (uint32_t)opt->n_tokens};
    struct prompt_source *source = NULL;
    struct tokenizer *tok = NULL;
    enum status st = tokenizer_open(&tok, opt->target, err);

    if (st == ST_OK)
        st = prompt_parts_read(&parts, &opt->words, tok, err);
    args.tok = tok;
    if (st == ST_OK)
        st = prompt_source_open(&source, &args, err);
    if (st == ST_OK)
        st = print_prompt(opt, tok, source, err);
    prompt_source_close(source);
    prompt_parts_release(&parts);
    tokenizer_close(tok);
    return st;
}

/* ---- the command line ---- */

static enum status check(struct options *opt, struct err *err)
{
    bool is_demo = opt->dataset != NULL && strcmp(opt->dataset, "demo") == 0;

    if (opt->dataset == NULL)
        return err_set(err, ST_INVALID,
                       "which dataset is missing: demo, a text file, a folder or a .jsonl file");
    if (opt->n_tokens == 0)
        return err_set(err, ST_INVALID, "--tokens is missing: how long the text shall be");
    if (opt->target == NULL && (!is_demo || opt->words.template_word != NULL ||
                                opt->words.template_file != NULL || opt->chat || opt->ids))
        return err_set(err, ST_INVALID,
                       "--target is missing: the checkpoint whose tokens the prompt is made of");
    if (opt->words.template_word != NULL && opt->words.template_file != NULL)
        return err_set(err, ST_INVALID,
                       "--template and --template-file are both given; one of "
                       "them would be right");
    if (opt->field != NULL && !json_line_is_field(opt->field))
        return err_set(err, ST_INVALID,
                       "--field is '%.128s'; a name, or names with dots between, would be right",
                       opt->field);
    if (opt->n_documents < opt->document)
        opt->n_documents = opt->document;
    opt->words.chat_dir = opt->chat ? opt->target : NULL;
    return ST_OK;
}

static enum status parse(struct options *opt, int argc, char **argv, struct err *err)
{
    const double most = EXPERIMENT_MAX_DOCUMENTS;
    const struct arg_spec spec[] = {
        {"tokens", ARG_INT, &opt->n_tokens, NULL, 1, MAX_TOKENS, NULL, "N",
         "length in tokens, of the demo tokenizer without --target (required)"},
        {"seed", ARG_INT, &opt->seed, NULL, 0, 0x1p62, NULL, "S",
         "which demo text; with --target: of document 1"},
        {"target", ARG_STRING, &opt->target, NULL, 0, 0, NULL, "DIR",
         "print the prompt that a study on this checkpoint would have"},
        {"document", ARG_INT, &opt->document, NULL, 1, most, NULL, "I", "which, from 1"},
        {"documents", ARG_INT, &opt->n_documents, NULL, 1, most, NULL, "N",
         "how many the study has; a text file is divided among them"},
        {"field", ARG_STRING, &opt->field, NULL, 0, 0, NULL, "NAME",
         "of JSON Lines; text if absent"},
        {"skip-short", ARG_FLAG, &opt->skip_short, NULL, 0, 0, NULL, NULL,
         "pass over documents that are too short"},
        {"template", ARG_STRING, &opt->words.template_word, NULL, 0, 0, NULL, "WORD",
         "none, summarize or continue"},
        {"template-file", ARG_STRING, &opt->words.template_file, NULL, 0, 0, NULL, "FILE",
         "a text with {document} in it"},
        {"chat", ARG_FLAG, &opt->chat, NULL, 0, 0, NULL, NULL, "in the target's chat form"},
        {"ids", ARG_FLAG, &opt->ids, NULL, 0, 0, NULL, NULL, "print token ids and not the text"},
    };
    const size_t n_spec = sizeof spec / sizeof *spec;
    struct args_rest rest = {.item = &opt->dataset, .max_items = 1};
    enum status st = args_parse(spec, n_spec, argc, argv, &rest, err);

    if (st == ST_CLOSED)
        args_help(stdout, program, "demo|FILE|FOLDER --tokens N [options]", spec, n_spec);
    return st == ST_OK ? check(opt, err) : st;
}

int command_dataset(int argc, char **argv)
{
    struct options opt = {.seed = 1, .document = 1, .n_documents = 1};
    struct err err = {{0}};
    enum status st = parse(&opt, argc, argv, &err);

    if (st == ST_CLOSED)
        return EXIT_DONE;
    if (st != ST_OK)
        return exit_report(program, EXIT_USAGE, st, &err);
    st = opt.target != NULL ? prompt_of_study(&opt, &err) : demo_alone(&opt, &err);
    return exit_report(program, EXIT_RUNTIME, st, &err);
}
