#include "tests/test_helpers.h"

#include "orchestrator/generate_prompt.h"
#include "tests/model/temp_dir.h"

/* Every character of the templates and texts below is a token of its own. */
#define LETTERS " []/INSTHabcdefgh"
static const char mistral[] = "{{ bos_token }}{{ '[INST] ' + system_message + '\\n\\n' + "
                              "message['content'] + ' [/INST]' }}";

static struct tokenizer *open_letters(const struct temp_dir *dir)
{
    struct tokenizer *tok = NULL;
    struct err err = {{0}};
    char json[2048], *at = json;
    int id = 2;

    at += sprintf(at, "{\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"special\":true},"
                      "{\"id\":1,\"content\":\"abc\",\"special\":true}],\"decoder\":{\"type\":"
                      "\"Fuse\"},\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
                      "{\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}]},"
                      "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"\\n\":100");
    for (const char *c = LETTERS; *c != '\0'; c++)
        if (strchr(c + 1, *c) == NULL)
            at += sprintf(at, ",\"%c\":%d", *c, id++);
    sprintf(at, "}}}");
    temp_dir_text(dir, "tokenizer.json", json);
    if (tokenizer_open(&tok, dir->path, &err) != ST_OK)
        fail_msg("%s", err.text);
    return tok;
}

/* The prompt's tokens as text, BOS as $ and "abc" as #. */
static void expect(const struct tokenizer *tok, const struct generate_options *opt,
                   const char *want)
{
    struct token_list ids;
    struct text_buf text;
    struct err err = {{0}};

    token_list_init(&ids);
    text_buf_init(&text);
    if (generate_prompt_encode(&ids, opt, tok, &err) != ST_OK)
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < ids.n; i++) {
        if (ids.id[i] < 2)
            text_buf_add(&text, ids.id[i] == 0 ? "$" : "#", 1);
        else
            assert_int_equal(tokenizer_decode(tok, &ids.id[i], 1, &text, &err), ST_OK);
    }
    text_buf_add(&text, "", 1);
    assert_string_equal(text.data, want);
    text_buf_release(&text);
    token_list_release(&ids);
}

static void refused(const struct tokenizer *tok, const struct generate_options *opt,
                    const char *part)
{
    struct token_list ids;
    struct err err = {{0}};

    token_list_init(&ids);
    assert_int_not_equal(generate_prompt_encode(&ids, opt, tok, &err), ST_OK);
    if (strstr(err.text, part) == NULL)
        fail_msg("'%s', not '%s'", err.text, part);
    token_list_release(&ids);
}

static void a_plain_prompt_is_bos_and_the_text(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct tokenizer *tok = open_letters(&dir);
    struct generate_options opt = {.target = dir.path, .prompt = "abcd", .prefill = -1};

    expect(tok, &opt, "$#d");
    opt.prompt = NULL;
    expect(tok, &opt, "$");
    tokenizer_close(tok);
    temp_dir_remove(&dir);
}

static void a_chat_is_cut_in_the_middle_of_the_users_text(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct tokenizer *tok = open_letters(&dir);
    struct generate_options opt = {
        .target = dir.path, .prompt = "abcdefgh", .prefill = -1, .chat = true};

    temp_dir_text(&dir, "chat_template.jinja", mistral);
    expect(tok, &opt, "$[INST] abcdefgh [/INST]");
    opt.prefill = 24; /* all of it: nothing to cut */
    expect(tok, &opt, "$[INST] abcdefgh [/INST]");
    opt.prefill = 20;
    expect(tok, &opt, "$[INST] abcd [/INST]");
    opt.system = "abc";
    opt.prefill = -1;
    expect(tok, &opt, "$[INST] abc\n\nabcdefgh [/INST]");
    opt.prefill = 24;
    expect(tok, &opt, "$[INST] abc\n\nabc [/INST]");
    opt.prefill = 21;
    refused(tok, &opt, "--prefill 21 leaves no room for the prompt: the chat template alone");
    tokenizer_close(tok);
    temp_dir_remove(&dir);
}

static void a_target_without_a_known_template_says_so(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct tokenizer *tok = open_letters(&dir);
    struct generate_options opt = {.target = dir.path, .prompt = "a", .prefill = -1, .chat = true};

    refused(tok, &opt, "the prompt: --chat: ");
    refused(tok, &opt, "has no chat template");
    temp_dir_text(&dir, "chat_template.jinja", "{{ messages }}");
    refused(tok, &opt, "none of the known forms (llama-2, llama-3, chatml, mistral)");
    tokenizer_close(tok);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_prompt_is_bos_and_the_text),
        cmocka_unit_test(a_chat_is_cut_in_the_middle_of_the_users_text),
        cmocka_unit_test(a_target_without_a_known_template_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
