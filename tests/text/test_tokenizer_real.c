#include "tests/text/real_data.h"

#include <time.h>

#include "common/mem.h"

#define SEPARATOR "\n__ggml_vocab_test__\n"

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
    struct tokenizer *tok = real_open(tokenizer);
    struct text_buf in, out;
    char *at, *line;
    int n_cases = 0;

    real_text(&in, inputs);
    real_text(&out, outputs);
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
    struct tokenizer *llama = real_open("tokenizers/llama3");
    struct tokenizer *qwen = real_open("tokenizers/qwen2/qwen.tiktoken");

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
    struct tokenizer *tok = real_open("hf-stories260K");

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
    struct tokenizer *tok = real_open("hf-story-infinitensor");

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

/* CPU seconds, the best of up to three, of a text of n bytes without spaces. */
static double seconds_of(const struct tokenizer *tok, const char *text, size_t n)
{
    double best = 1e9;

    for (int i = 0; i < 3 && best >= 1.0; i++) {
        struct token_list list;
        clock_t begun = clock();
        double seconds;

        token_list_init(&list);
        assert_int_equal(tokenizer_encode(tok, text, n, &list, NULL), ST_OK);
        seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
        best = seconds < best ? seconds : best;
        token_list_release(&list);
    }
    return best;
}

enum { RUN_BYTES = 100 * 1024 };

static void fill_run(char *text, int kind)
{
    static const char *const units[] = {"a", "ab", "=", "\xE6\xBC\xA2", "0123456789", "aA"};
    size_t n_unit;

    if (kind == 0) { /* no period that a merge could follow */
        for (size_t i = 0; i < RUN_BYTES; i++)
            text[i] = (char)('a' + i * i % 7);
        return;
    }
    n_unit = strlen(units[kind - 1]);
    for (size_t i = 0; i < RUN_BYTES; i++)
        text[i] = units[kind - 1][i % n_unit];
    for (size_t i = RUN_BYTES / n_unit * n_unit; i < RUN_BYTES; i++)
        text[i] = '-'; /* instead of a cut character */
}

/* Under a second; a slow build must at least not grow like a square, which
 * would be sixteenfold. */
static void a_long_run_without_spaces_is_fast(void **state)
{
    static const char *const names[] = {"tokenizers/llama2", "tokenizers/llama3",
                                        "tokenizers/qwen2", "hf-stories260K",
                                        "hf-story-infinitensor"};
    char *text = mem_alloc(RUN_BYTES);

    for (int i = 0; i < 5; i++) {
        struct tokenizer *tok = real_open(names[i]);

        for (int kind = 0; kind < 7; kind++) {
            double all, quarter;

            fill_run(text, kind);
            all = seconds_of(tok, text, RUN_BYTES);
            if (all < 1.0)
                continue;
            quarter = seconds_of(tok, text, RUN_BYTES / 4 / 3 * 3);
            if (all > 10 * quarter)
                fail_msg("%s, run %d: %.3f s, and %.3f s for a quarter", names[i], kind, all,
                         quarter);
        }
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
        cmocka_unit_test(a_long_run_without_spaces_is_fast),
        cmocka_unit_test(a_directory_without_tokenizer_names_what_was_looked_for),
    };

    real_skip_without();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
