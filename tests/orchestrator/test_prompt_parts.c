/* What stands around a document: a template, a checkpoint's chat form, both. */
#include "tests/orchestrator/text_files.h"
#include "tests/text/chat_sources.h"

#include "orchestrator/prompt_source.h"

static struct tokenizer *tok; /* of the demo target: with BOS, and no mark of a chat form */

static int set_up(void **state)
{
    struct err err = {{0}};
    if (tokenizer_open(&tok, TEST_SOURCE_DIR "/experiments/demo/target", &err) != ST_OK)
        fail_msg("%s", err.text);
    return text_files_make(state);
}

static int tear_down(void **state)
{
    tokenizer_close(tok);
    return text_files_drop(state);
}

/* The demo text's prompt of n tokens, spelled; owned by the caller. */
static char *spell_prompt(const struct prompt_words *words, uint32_t n)
{
    struct prompt_parts parts;
    struct prompt_source *source = NULL;
    struct text_buf out;
    struct err err = {{0}};
    const struct prompt_source_args args = {
        .tok = tok, .parts = &parts, .dataset = "demo", .n_documents = 1, .n_tokens = n};
    if (prompt_parts_read(&parts, words, tok, &err) != ST_OK ||
        prompt_source_open(&source, &args, &err) != ST_OK)
        fail_msg("%s", err.text);
    const int32_t *id = prompt_source_tokens(source, 0, n);
    assert_int_equal(id[0], tokenizer_bos(tok));
    assert_int_not_equal(id[1], tokenizer_bos(tok));
    text_buf_init(&out);
    assert_int_equal(tokenizer_decode(tok, id, n, &out, &err), ST_OK);
    char *text = text_copy(out.data, out.n);
    text_buf_release(&out);
    prompt_source_close(source);
    prompt_parts_release(&parts);
    return text;
}

/* `text` is `before`, something, `after`. */
static void expect_around(const char *text, const char *before, const char *after)
{
    size_t n = strlen(text), n_before = strlen(before), n_after = strlen(after);
    assert_true(n > n_before + n_after);
    assert_memory_equal(text, before, n_before);
    assert_string_equal(text + n - n_after, after);
}

static void a_chat_form_is_outside_and_the_instruction_inside(void **state)
{
    char *template = text_files_write("t.txt", "Read. {document} Retell.\n");
    free(text_files_write("chat_template.jinja", CHAT_LLAMA2));
    struct prompt_words words = {.template_file = template};
    char *text = spell_prompt(&words, 120);
    expect_around(text, "Read. ", " Retell.");
    free(text);
    words.chat_dir = text_files_dir;
    text = spell_prompt(&words, 120);
    expect_around(text, "[INST] Read. ", " Retell. [/INST]");
    free(text);
    words.template_file = NULL;
    text = spell_prompt(&words, 120);
    expect_around(text, "[INST] Th", " [/INST]"); /* the document itself */
    free(text);
    free(template);
}

static void expect_refusal(const struct prompt_words *words, enum status st, const char *part)
{
    struct prompt_parts parts;
    struct err err = {{0}};
    assert_int_equal(prompt_parts_read(&parts, words, tok, &err), st);
    if (strstr(err.text, part) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, part);
    prompt_parts_release(&parts);
}

static void what_cannot_be_read_is_named(void **state)
{
    expect_refusal(&(struct prompt_words){.template_word = "sum"}, ST_INVALID,
                   "template is sum; one of none|summarize|continue");
    expect_refusal(&(struct prompt_words){.template_file = "/nonexistent"}, ST_NOT_FOUND,
                   "/nonexistent");
    expect_refusal(&(struct prompt_words){.chat_dir = "/nonexistent"}, ST_NOT_FOUND, "chat form: ");
    free(text_files_write("chat_template.jinja", CHAT_LLAMA3));
    expect_refusal(&(struct prompt_words){.chat_dir = text_files_dir}, ST_UNSUPPORTED,
                   "which is no token of the tokenizer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_form_is_outside_and_the_instruction_inside),
        cmocka_unit_test(what_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
