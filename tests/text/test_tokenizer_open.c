/*
 * Which file of a directory is read, and what the files beside it add.
 */
#include "tests/text/tokenizer_fixture.h"

#include "tests/model/temp_dir.h"

#define JSON_HEAD                                                                                  \
    "{\"added_tokens\":[{\"id\":1,\"content\":\"<b>\",\"special\":true},{\"id\":2,\"content\":"    \
    "\"<e>\",\"special\":true}],\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\","      \
    "\"vocab\":{\"a\":0},\"merges\":[]}"
#define TEMPLATE(inner)                                                                            \
    ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[" inner "]}}"
#define SPECIAL(name) "{\"SpecialToken\":{\"id\":\"" name "\",\"type_id\":0}}"
#define TEXT          "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"

/* Ranks of a, b, ab and space, then of all other bytes but `left_out` (-1: none). */
static const char *ranks_without(int left_out)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static char text[8192];
    size_t n = (size_t)snprintf(text, sizeof text, "YQ== 0\nYg== 1\nYWI= 2\nIA== 3\n");

    for (int byte = 0, rank = 4; byte < 256; byte++)
        if (byte != 'a' && byte != 'b' && byte != ' ' && byte != left_out)
            n += (size_t)snprintf(text + n, sizeof text - n, "%c%c== %d\n", digit[byte >> 2],
                                  digit[(byte & 3) << 4], rank++);
    return text;
}

static struct tokenizer *open_dir(const struct temp_dir *dir)
{
    struct tokenizer *tok = NULL;
    struct err err = {{0}};

    if (tokenizer_open(&tok, dir->path, &err) != ST_OK)
        fail_msg("%s", err.text);
    return tok;
}

static void refused(const struct temp_dir *dir, const char *pattern, enum status st,
                    const char *part)
{
    struct tokenizer *tok = NULL;
    struct err err = {{0}};
    enum status got = tokenizer_open_split(&tok, dir->path, pattern, &err);

    if (got != st || strstr(err.text, part) == NULL || strchr(err.text, '\n') != NULL)
        fail_msg("status %d and '%s', not %d and '%s'", got, err.text, st, part);
    assert_null(tok);
}

static void write_spm(const struct temp_dir *dir)
{
    struct text_buf model;

    text_buf_init(&model);
    fix_spm(&model);
    temp_dir_write(dir, "tokenizer.model", model.data, model.n);
    text_buf_release(&model);
}

static void the_json_goes_before_the_model_and_ranks_come_last(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct tokenizer *tok;

    temp_dir_text(&dir, "b.tiktoken", "broken");
    refused(&dir, NULL, ST_CORRUPT, "b.tiktoken: neither");
    write_spm(&dir);
    tok = open_dir(&dir);
    assert_int_equal(tokenizer_n_vocab(tok), FIX_N);
    tokenizer_close(tok);
    temp_dir_text(&dir, "tokenizer.json", JSON_HEAD "}");
    tok = open_dir(&dir);
    assert_int_equal(tokenizer_n_vocab(tok), 3);
    tokenizer_close(tok);
    temp_dir_remove(&dir);
}

static void two_rank_files_or_none_are_refused(void **state)
{
    struct temp_dir dir = temp_dir_make();

    refused(&dir, NULL, ST_NOT_FOUND, "neither tokenizer.json nor tokenizer.model");
    temp_dir_text(&dir, "a.tiktoken", ranks_without(-1));
    temp_dir_text(&dir, "b.tiktoken", ranks_without(-1));
    refused(&dir, "a", ST_INVALID, "several .tiktoken files; name the one");
    temp_dir_remove(&dir);
}

static void ranks_without_some_byte_are_refused(void **state)
{
    struct temp_dir dir = temp_dir_make();

    temp_dir_text(&dir, "x.tiktoken", ranks_without(0xfe));
    refused(&dir, ".", ST_CORRUPT, "no line is of byte 0xfe alone; ranks begin with all 256 bytes");
    temp_dir_remove(&dir);
}

static void unknown_ranks_open_with_a_pattern(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct tokenizer *tok = NULL;
    struct err err = {{0}};

    temp_dir_text(&dir, "x.tiktoken", ranks_without(-1));
    refused(&dir, NULL, ST_UNSUPPORTED, "--pattern REGEX says it");
    refused(&dir, "(", ST_INVALID, "--pattern: the pattern fails at byte 1");
    refused(&dir, "", ST_INVALID, "--pattern: the pattern is empty");
    refused(&dir, "a|\xff\xff", ST_INVALID, "--pattern: the pattern is no UTF-8 at byte 2");
    refused(&dir, "\xed\xa0\x80", ST_INVALID, "--pattern: the pattern is no UTF-8 at byte 0");
    assert_int_equal(tokenizer_open_split(&tok, dir.path, " |\\w", &err), ST_OK);
    FIX_EXPECT(tok, "ab a", 0, 1, 3, 0);
    tokenizer_close(tok);
    assert_int_equal(tokenizer_open_split(&tok, dir.path, "\\w+", &err), ST_OK);
    FIX_EXPECT(tok, "ab a", 2, 3, 0);
    assert_int_equal(tokenizer_bos(tok), -1);
    tokenizer_close(tok);
    temp_dir_text(&dir, "tokenizer.json", JSON_HEAD "}");
    refused(&dir, "a", ST_INVALID, "--pattern is for tiktoken ranks");
    temp_dir_remove(&dir);
}

/* What begins a text, by template and config: HF's classes do the same. */
static void what_begins_a_text_is_what_the_files_add(void **state)
{
    static const struct {
        const char *json, *config; /* NULL: no such file */
        int32_t begin, end;
    } cases[] = {
        {JSON_HEAD "}", NULL, -1, -1},
        {JSON_HEAD TEMPLATE(SPECIAL("<b>") "," TEXT), NULL, 1, -1},
        {JSON_HEAD TEMPLATE(TEXT "," SPECIAL("<e>")), NULL, -1, 2},
        {JSON_HEAD TEMPLATE(TEXT), NULL, -1, -1},
        {JSON_HEAD "}", "{\"bos_token\":\"<b>\",\"eos_token\":\"<e>\"}", -1, 2},
        {JSON_HEAD TEMPLATE(SPECIAL("<b>") "," TEXT), "{\"eos_token\":{\"content\":\"<e>\"}}", 1,
         2},
        {JSON_HEAD TEMPLATE(SPECIAL("<b>") "," TEXT),
         "{\"bos_token\":\"<b>\",\"add_bos_token\":false}", -1, -1},
        {JSON_HEAD "}", "{\"bos_token\":\"<b>\",\"add_bos_token\":true}", 1, -1},
        {JSON_HEAD "}", "{\"bos_token\":\"<b>\",\"tokenizer_class\":\"LlamaTokenizerFast\"}", 1,
         -1},
        {JSON_HEAD "}", "{\"bos_token\":\"<b>\",\"tokenizer_class\":\"Qwen2Tokenizer\"}", -1, -1},
        {JSON_HEAD "}", "{\"bos_token\":null,\"eos_token\":null,\"add_bos_token\":false}", -1, -1},
        {NULL, NULL, FIX_BOS, FIX_EOS},
        {NULL, "{\"add_bos_token\":false}", -1, FIX_EOS},
        {NULL, "{\"bos_token\":\"<s>\",\"eos_token\":\"<u>\"}", FIX_BOS, FIX_USER},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct temp_dir dir = temp_dir_make();
        struct tokenizer *tok;

        if (cases[i].json != NULL)
            temp_dir_text(&dir, "tokenizer.json", cases[i].json);
        else
            write_spm(&dir);
        if (cases[i].config != NULL)
            temp_dir_text(&dir, "tokenizer_config.json", cases[i].config);
        tok = open_dir(&dir);
        if (tokenizer_bos(tok) != cases[i].begin || tokenizer_eos(tok) != cases[i].end)
            fail_msg("case %zu: %d and %d, not %d and %d", i, tokenizer_bos(tok),
                     tokenizer_eos(tok), cases[i].begin, cases[i].end);
        tokenizer_close(tok);
        temp_dir_remove(&dir);
    }
}

/* A draft model is known whose config.json names a BOS of another vocabulary. */
static void the_config_of_the_model_is_not_asked(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct tokenizer *tok;

    write_spm(&dir);
    temp_dir_text(&dir, "config.json", "{\"bos_token_id\":0,\"eos_token_id\":7}");
    tok = open_dir(&dir);
    assert_int_equal(tokenizer_bos(tok), FIX_BOS);
    assert_int_equal(tokenizer_eos(tok), FIX_EOS);
    tokenizer_close(tok);
    temp_dir_remove(&dir);
}

static void tokens_added_to_a_sentencepiece_model_are_found(void **state)
{
    static const int32_t ids[] = {FIX_SPACE_A, FIX_N, FIX_B, FIX_N + 1};
    struct temp_dir dir = temp_dir_make();
    struct tokenizer *tok;
    char *text;

    write_spm(&dir);
    temp_dir_text(&dir, "added_tokens.json", "{\"<|im_end|>\":267,\"<x>\":268,\"<s>\":1}");
    temp_dir_text(&dir, "special_tokens_map.json", "{\"eos_token\":\"<|im_end|>\"}");
    assert_int_equal(FIX_N, 267);
    tok = open_dir(&dir);
    assert_int_equal(tokenizer_eos(tok), 267);
    FIX_EXPECT(tok, "a<|im_end|>b<x>", FIX_SPACE_A, FIX_N, FIX_SPACE, FIX_B, FIX_N + 1);
    FIX_EXPECT(tok, "<s>", FIX_SPACE, FIX_BYTE + '<', FIX_BYTE + 's', FIX_BYTE + '>');
    text = fix_decode(tok, ids, 4); /* the named end is special, the other prints */
    assert_string_equal(text, "ab<x>");
    free(text);
    tokenizer_close(tok);
    temp_dir_text(&dir, "tokenizer_config.json",
                  "{\"added_tokens_decoder\":{\"0\":{\"content\":\"<unk>\"},\"270\":{\"content\":"
                  "\"<y>\",\"special\":true,\"rstrip\":true}}}");
    tok = open_dir(&dir); /* which then replaces the older list */
    FIX_EXPECT(tok, "a<y>  b", FIX_SPACE_A, 270, FIX_SPACE, FIX_B);
    assert_int_equal(tokenizer_n_vocab(tok), 271);
    assert_true(tokenizer_is_special(tok, 270));
    tokenizer_close(tok);
    temp_dir_remove(&dir);
}

static void damaged_files_beside_a_tokenizer_are_named_with_the_field(void **state)
{
    static const struct {
        const char *name, *text, *part;
    } cases[] = {
        {"tokenizer_config.json", "{\"bos_token\":", "tokenizer_config.json: line 1"},
        {"tokenizer_config.json", "[]", "tokenizer_config.json: not an object"},
        {"tokenizer_config.json", "{\"bos_token\":3}", "bos_token is neither a string nor null"},
        {"tokenizer_config.json", "{\"eos_token\":\"<zz>\"}", "eos_token '<zz>' is not in the"},
        {"tokenizer_config.json", "{\"eos_token\":{\"content\":[]}}", "eos_token is neither"},
        {"tokenizer_config.json", "{\"add_bos_token\":1}", "add_bos_token is neither true nor"},
        {"tokenizer_config.json", "{\"eos_token\":\"a\",\"eos_token\":\"b\"}", "duplicate"},
        {"special_tokens_map.json", "{\"bos_token\":false}", "special_tokens_map.json: bos_token"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":[]}", "added_tokens_decoder is not"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{}}}", "'x' is no token id"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"-1\":{}}}", "'-1' is no token id"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"9\":{}}}", "9: content is missing"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"4194304\":{\"content\":\"x\"}}}",
         "id 4194304, not one of"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"1\":{\"content\":\"x\"}}}",
         "tokens '<s>' and 'x' have the same id 1"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"300\":{\"content\":\"a\"}}}",
         "token 'a' has id 300 here and 260"},
        {"added_tokens.json", "{\"x\":\"y\"}", "added_tokens.json: 'x': no token id"},
        {"added_tokens.json", "{\"x\":1e300}", "'x': no token id"},
        {"added_tokens.json", "{\"x\":300.5}", "'x': no token id"},
        {"added_tokens.json", "{\"\":300}", "no text to it"},
        {"added_tokens.json", "{\"x\":300,\"y\":300}", "the same id 300"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct temp_dir dir = temp_dir_make();

        write_spm(&dir);
        temp_dir_text(&dir, cases[i].name, cases[i].text);
        refused(&dir, NULL, ST_CORRUPT, cases[i].part);
        temp_dir_remove(&dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_json_goes_before_the_model_and_ranks_come_last),
        cmocka_unit_test(two_rank_files_or_none_are_refused),
        cmocka_unit_test(ranks_without_some_byte_are_refused),
        cmocka_unit_test(unknown_ranks_open_with_a_pattern),
        cmocka_unit_test(what_begins_a_text_is_what_the_files_add),
        cmocka_unit_test(the_config_of_the_model_is_not_asked),
        cmocka_unit_test(tokens_added_to_a_sentencepiece_model_are_found),
        cmocka_unit_test(damaged_files_beside_a_tokenizer_are_named_with_the_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
