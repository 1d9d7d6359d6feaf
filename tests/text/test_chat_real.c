/*
 * Chat templates with the tokenizers of the models that they were made for.
 */
#include "tests/text/tokenizer_fixture.h"

#include <unistd.h>

#include "tests/model/temp_dir.h"
#include "tests/text/chat_sources.h"
#include "text/chat_template.h"

static struct tokenizer *open_real(const char *name)
{
    char path[512];
    struct tokenizer *tok = NULL;
    struct err err = {{0}};

    snprintf(path, sizeof path, "%s/%s", TEST_DATA_DIR, name);
    if (tokenizer_open(&tok, path, &err) != ST_OK)
        fail_msg("%s", err.text);
    return tok;
}

static struct chat_template *open_chat(const char *source)
{
    struct temp_dir dir = temp_dir_make();
    struct chat_template *chat = NULL;
    struct err err = {{0}};

    temp_dir_text(&dir, "chat_template.jinja", source);
    if (chat_template_open(&chat, dir.path, &err) != ST_OK)
        fail_msg("%s", err.text);
    temp_dir_remove(&dir);
    return chat;
}

/* The prompt at once gives these ids, and so do its three pieces. */
static void expect_prompt(const struct chat_template *chat, const struct tokenizer *tok,
                          const struct chat_prompt *prompt, const struct token_list *want)
{
    struct token_list whole;
    struct chat_parts parts;
    struct err err = {{0}};

    token_list_init(&whole);
    chat_parts_init(&parts);
    assert_int_equal(chat_template_encode(chat, tok, prompt, &whole, &err), ST_OK);
    assert_int_equal(whole.n, want->n);
    assert_memory_equal(whole.id, want->id, want->n * sizeof *want->id);
    assert_int_equal(chat_template_render(chat, tok, prompt->system, &parts, &err), ST_OK);
    assert_int_equal(chat_template_encode_user(chat, tok, prompt, &parts.before, &err), ST_OK);
    assert_int_equal(parts.before.n + parts.after.n, want->n);
    assert_memory_equal(parts.before.id, want->id, parts.before.n * sizeof *want->id);
    assert_memory_equal(parts.after.id, want->id + parts.before.n,
                        parts.after.n * sizeof *want->id);
    token_list_release(&whole);
    chat_parts_release(&parts);
}

#define EXPECT(chat, tok, system, user, ...)                                                       \
    do {                                                                                           \
        int32_t id_[] = {__VA_ARGS__};                                                             \
        const struct chat_prompt prompt_ = {system, user, strlen(user)};                           \
        const struct token_list want_ = {id_, sizeof id_ / sizeof *id_, 0};                        \
        expect_prompt(chat, tok, &prompt_, &want_);                                                \
    } while (0)

/* Ids from the sentencepiece library: BOS, then the text as one string. */
static void llama2_asks_with_the_ids_of_its_reference(void **state)
{
    struct tokenizer *tok = open_real("tokenizers/llama2");
    struct chat_template *chat = open_chat(CHAT_LLAMA2);

    EXPECT(chat, tok, NULL, "Hello", 1, 518, 25580, 29962, 15043, 518, 29914, 25580, 29962);
    EXPECT(chat, tok, "Be brief.", "Hello", 1, 518, 25580, 29962, 3532, 14816, 29903, 6778, 13,
           3629, 11473, 29889, 13, 29966, 829, 14816, 29903, 6778, 13, 13, 10994, 518, 29914, 25580,
           29962);
    chat_template_close(chat);
    tokenizer_close(tok);
}

/* The text with the special tokens spelled out, where nobody else spells one. */
static void expect_like_text(const struct chat_template *chat, const struct tokenizer *tok,
                             const struct chat_prompt *prompt, const char *text)
{
    struct token_list want;
    struct err err = {{0}};

    token_list_init(&want);
    assert_int_equal(tokenizer_encode(tok, text, strlen(text), &want, &err), ST_OK);
    expect_prompt(chat, tok, prompt, &want);
    token_list_release(&want);
}

static void llama3_and_qwen2_ask_as_the_whole_text_is_encoded(void **state)
{
    static const char user[] = "Who wrote \"War and Peace\"?\n\nA: Caf\xC3\xA9 123456, I've";
    static const struct chat_prompt plain = {NULL, user, sizeof user - 1};
    static const struct chat_prompt system = {"Be brief, don't dwell.", user, sizeof user - 1};
    struct tokenizer *llama = open_real("tokenizers/llama3");
    struct tokenizer *qwen = open_real("tokenizers/qwen2/qwen.tiktoken");
    struct chat_template *llama3 = open_chat(CHAT_LLAMA3), *llama31 = open_chat(CHAT_LLAMA31);
    struct chat_template *chatml = open_chat(CHAT_QWEN("You are a helpful assistant."));
    char text[1024];

    snprintf(text, sizeof text,
             "<|begin_of_text|>" CHAT_HEAD("user") "%s<|eot_id|>" CHAT_HEAD("assistant"), user);
    expect_like_text(llama3, llama, &plain, text);
    snprintf(text, sizeof text,
             "<|begin_of_text|>" CHAT_HEAD("system") CHAT_DATES "%s<|eot_id|>" CHAT_HEAD("user") //
             "%s<|eot_id|>" CHAT_HEAD("assistant"),
             system.system, user);
    expect_like_text(llama31, llama, &system, text);
    snprintf(text, sizeof text,
             "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n%s"
             "<|im_end|>\n<|im_start|>assistant\n",
             user);
    expect_like_text(chatml, qwen, &plain, text);
    chat_template_close(llama3);
    chat_template_close(llama31);
    chat_template_close(chatml);
    tokenizer_close(llama);
    tokenizer_close(qwen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama2_asks_with_the_ids_of_its_reference),
        cmocka_unit_test(llama3_and_qwen2_ask_as_the_whole_text_is_encoded),
    };
    char path[512];

    if (test_data_path(path, sizeof path, "tokenizers/llama2/tokenizer.model") == NULL)
        test_skip_program("real tokenizers are not there: " TEST_DATA_DIR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
