#include "tests/text/tokenizer_fixture.h"

#include <time.h>

#include "common/mem.h"
#include "text/prompt.h"

#define SEPARATOR "\n__ggml_vocab_test__\n"

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

static void read_real(struct text_buf *out, const char *name)
{
    char path[512];
    struct err err = {{0}};

    snprintf(path, sizeof path, "%s/%s", TEST_DATA_DIR, name);
    text_buf_init(out);
    if (prompt_read(out, path, &err) != ST_OK)
        fail_msg("%s", err.text);
    text_buf_add(out, "", 1);
}

/* One line of decimal ids; *line moves behind it. */
static uint32_t read_ids(char **line, int32_t *id, uint32_t cap)
{
    uint32_t n = 0;
    char *at = *line, *end = strchr(at, '\n');

    if (end == NULL)
        end = at + strlen(at);
    while (at < end) {
        while (at < end && *at == ' ')
            at++;
        if (at == end)
            break;
        assert_true(n < cap);
        id[n++] = (int32_t)strtol(at, &at, 10);
    }
    *line = *end ? end + 1 : end;
    return n;
}

static void check_vectors(const char *tokenizer, const char *inputs, const char *outputs)
{
    struct tokenizer *tok = open_real(tokenizer);
    struct text_buf in, out;
    char *at, *line;
    int n_cases = 0;

    read_real(&in, inputs);
    read_real(&out, outputs);
    line = out.data;
    for (at = in.data; at != NULL; n_cases++) {
        char *end = strstr(at, SEPARATOR);
        int32_t want[512];
        uint32_t n_want = read_ids(&line, want, 512);

        if (end != NULL)
            *end = '\0';
        fix_expect(tok, at, want, n_want);
        at = end ? end + strlen(SEPARATOR) : NULL;
    }
    assert_int_equal(n_cases, 47);
    text_buf_release(&in);
    text_buf_release(&out);
    tokenizer_close(tok);
}

static void all_47_llama2_vectors_agree(void **state)
{
    check_vectors("tokenizers/llama2", "tokenizers/llama-spm.inp", "tokenizers/llama-spm.out");
}

static void all_47_llama3_vectors_agree(void **state)
{
    check_vectors("tokenizers/llama3", "tokenizers/llama-bpe.inp", "tokenizers/llama-bpe.out");
}

static void all_47_qwen2_vectors_agree(void **state)
{
    check_vectors("tokenizers/qwen2/qwen.tiktoken", "tokenizers/qwen2.inp", "tokenizers/qwen2.out");
}

static void known_ranks_bring_their_special_tokens(void **state)
{
    struct tokenizer *llama = open_real("tokenizers/llama3");
    struct tokenizer *qwen = open_real("tokenizers/qwen2/qwen.tiktoken");

    assert_int_equal(tokenizer_bos(llama), 128000);
    assert_int_equal(tokenizer_eos(llama), 128001);
    assert_int_equal(tokenizer_n_vocab(llama), 128256);
    FIX_EXPECT(llama, "<|eot_id|>", 128009);
    FIX_EXPECT(llama, "<|reserved_special_token_250|>", 128255);
    assert_int_equal(tokenizer_bos(qwen), -1);
    assert_int_equal(tokenizer_eos(qwen), 151643);
    tokenizer_close(llama);
    tokenizer_close(qwen);
}

/* Ids from the sentencepiece library. */
static void stories260k_squeezes_spaces_as_its_model_says(void **state)
{
    struct tokenizer *tok = open_real("hf-stories260K");

    FIX_EXPECT(tok, "Once upon a time, there was a little girl.", 403, 407, 261, 378, 432, 383, 286,
               261, 376, 298, 315, 421, 426);
    FIX_EXPECT(tok, "  two  spaces ", 259, 424, 414, 262, 427, 412, 331, 419);
    FIX_EXPECT(tok, "Zo\xC3\xAB ate 3 \xF0\x9F\x99\x82 x", 410, 469, 414, 198, 174, 261, 413, 411,
               410, 472, 410, 243, 162, 156, 133, 410, 444);
    tokenizer_close(tok);
}

/* Ids from the tokenizers library. */
static void a_vocabulary_without_bytes_uses_the_unknown_token(void **state)
{
    struct tokenizer *tok = open_real("hf-story-infinitensor");

    FIX_EXPECT(tok, "Once upon a time, there was a little girl.", 80, 147, 201, 282, 215, 286, 1890,
               10);
    FIX_EXPECT(tok, "  two  spaces ", 80, 80, 80, 1209, 80, 415, 53, 55, 368);
    FIX_EXPECT(tok, "<|start_story|>Once<|end_story|> upon", 1, 147, 682, 208, 183, 209, 210, 80,
               189, 111);
    FIX_EXPECT(tok, "Zo\xC3\xAB ate 3 \xF0\x9F\x99\x82\xF0\x9F\x99\x82 x", 80, 51, 67, 0, 85, 1622,
               14, 80, 0, 80, 76);
    assert_int_equal(tokenizer_bos(tok), 1);
    assert_int_equal(tokenizer_eos(tok), 2);
    tokenizer_close(tok);
}

static void round_trip(const char *tokenizer, const struct text_buf *novel, uint32_t n_want)
{
    struct tokenizer *tok = open_real(tokenizer);
    struct token_list list;
    struct text_buf back;
    struct err err = {{0}};

    token_list_init(&list);
    text_buf_init(&back);
    assert_int_equal(tokenizer_encode(tok, novel->data, novel->n - 1, &list, &err), ST_OK);
    if (n_want > 0)
        assert_int_equal(list.n, n_want);
    assert_int_equal(tokenizer_decode(tok, list.id, list.n, &back, &err), ST_OK);
    assert_int_equal(back.n, novel->n - 1);
    assert_memory_equal(back.data, novel->data, back.n);
    token_list_release(&list);
    text_buf_release(&back);
    tokenizer_close(tok);
}

static void a_novel_survives_the_way_there_and_back(void **state)
{
    struct text_buf novel;

    read_real(&novel, "text/pg1399.txt");
    round_trip("tokenizers/llama2", &novel, 545455); /* counted by sentencepiece */
    round_trip("tokenizers/llama3", &novel, 0);
    text_buf_release(&novel);
}

static void a_long_run_without_spaces_is_fast(void **state)
{
    static const char *const names[] = {"tokenizers/llama2", "tokenizers/llama3",
                                        "hf-story-infinitensor"};
    enum { N = 100 * 1024 };
    char *text = mem_alloc(N);

    for (size_t i = 0; i < N; i++)
        text[i] = (char)('a' + i * i % 7);
    for (int i = 0; i < 3; i++) {
        struct tokenizer *tok = open_real(names[i]);
        struct token_list list;
        clock_t begun = clock();

        token_list_init(&list);
        assert_int_equal(tokenizer_encode(tok, text, N, &list, NULL), ST_OK);
        assert_true((double)(clock() - begun) / CLOCKS_PER_SEC < 1.0);
        token_list_release(&list);
        tokenizer_close(tok);
    }
    free(text);
}

static void a_directory_without_tokenizer_names_what_was_looked_for(void **state)
{
    struct tokenizer *tok = NULL;
    struct err err = {{0}};
    char path[512];

    snprintf(path, sizeof path, "%s/text", TEST_DATA_DIR);
    assert_int_equal(tokenizer_open(&tok, path, &err), ST_NOT_FOUND);
    assert_non_null(
        strstr(err.text, "neither tokenizer.json nor tokenizer.model nor a .tiktoken file"));
    assert_int_equal(tokenizer_open(&tok, "/nonexistent/x", &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/x"));
    assert_null(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_47_llama2_vectors_agree),
        cmocka_unit_test(all_47_llama3_vectors_agree),
        cmocka_unit_test(all_47_qwen2_vectors_agree),
        cmocka_unit_test(known_ranks_bring_their_special_tokens),
        cmocka_unit_test(stories260k_squeezes_spaces_as_its_model_says),
        cmocka_unit_test(a_vocabulary_without_bytes_uses_the_unknown_token),
        cmocka_unit_test(a_novel_survives_the_way_there_and_back),
        cmocka_unit_test(a_long_run_without_spaces_is_fast),
        cmocka_unit_test(a_directory_without_tokenizer_names_what_was_looked_for),
    };
    char path[512];

    if (test_data_path(path, sizeof path, "tokenizers/llama2/tokenizer.model") == NULL)
        test_skip_program("real tokenizers are not there: " TEST_DATA_DIR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
