#include "tests/text/tokenizer_fixture.h"

#include "text/token_stream.h"
#include "text/utf8.h"

#define BAD "\xEF\xBF\xBD"

static struct tokenizer *open_spm(void)
{
    struct text_buf model;
    struct tokenizer *tok;

    text_buf_init(&model);
    fix_spm(&model);
    tok = fix_open(&model);
    text_buf_release(&model);
    return tok;
}

static struct tokenizer *open_json(void)
{
    struct text_buf json;
    struct tokenizer *tok;

    text_buf_init(&json);
    fix_json(&json, "null", "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}");
    tok = fix_open(&json);
    text_buf_release(&json);
    return tok;
}

static void expect_text(const struct tokenizer *tok, const int32_t *id, size_t n, const char *want)
{
    char *text = fix_decode(tok, id, n);

    assert_string_equal(text, want);
    free(text);
}

static void a_character_appears_with_its_last_byte(void **state)
{
    static const int32_t smile[] = {FIX_BYTE + 0xF0, FIX_BYTE + 0x9F, FIX_BYTE + 0x99,
                                    FIX_BYTE + 0x82};
    struct tokenizer *tok = open_spm();
    struct token_stream stream;
    struct text_buf out;
    struct err err = {{0}};

    text_buf_init(&out);
    token_stream_init(&stream, tok);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(out.n, 0);
        assert_int_equal(token_stream_push(&stream, smile[i], &out, &err), ST_OK);
    }
    assert_int_equal(out.n, 4);
    assert_memory_equal(out.data, "\xF0\x9F\x99\x82", 4);
    token_stream_flush(&stream, &out);
    assert_int_equal(out.n, 4);
    token_stream_release(&stream);
    text_buf_release(&out);
    tokenizer_close(tok);
}

static void bytes_that_make_no_character_are_replaced(void **state)
{
    static const int32_t cut[] = {FIX_BYTE + 0xE2, FIX_BYTE + 0x82, FIX_A};
    static const int32_t rest[] = {FIX_A, FIX_BYTE + 0xE2, FIX_BYTE + 0x82};
    static const int32_t json_cut[] = {0xE2, 0x82, 'a'}, json_lone[] = {0x82, 0xC3, 0xC3, 0xA9};
    static const int32_t json_rest[] = {'a', 0xE2, 0x82};
    struct tokenizer *spm = open_spm(), *json = open_json();

    expect_text(spm, cut, 3, BAD BAD "a"); /* SentencePiece: one per byte */
    expect_text(spm, rest, 3, "a" BAD BAD);
    expect_text(json, json_cut, 3, BAD "a"); /* byte-level: one per cut-off character */
    expect_text(json, json_rest, 3, "a" BAD);
    expect_text(json, json_lone, 4, BAD BAD "\xC3\xA9");
    tokenizer_close(spm);
    tokenizer_close(json);
}

/* Random ids: each step leaves whole characters only, and the steps together
 * equal the whole list decoded at once. */
static void compare_random(const struct tokenizer *tok, uint32_t seed)
{
    uint32_t n_vocab = tokenizer_n_vocab(tok);
    uint32_t random = seed;

    for (int round = 0; round < 2000; round++) {
        struct token_stream stream;
        struct text_buf whole, steps;
        struct err err = {{0}};
        int32_t id[24];
        size_t n = (size_t)round % 24, bad;

        text_buf_init(&whole);
        text_buf_init(&steps);
        token_stream_init(&stream, tok);
        for (size_t i = 0; i < n; i++) {
            random = random * 1664525u + 1013904223u; /* Numerical Recipes */
            id[i] = (int32_t)((random >> 8) % n_vocab);
            assert_int_equal(token_stream_push(&stream, id[i], &steps, &err), ST_OK);
            assert_true(utf8_check(steps.data, steps.n, &bad));
        }
        token_stream_flush(&stream, &steps);
        assert_int_equal(tokenizer_decode(tok, id, n, &whole, &err), ST_OK);
        assert_int_equal(whole.n, steps.n);
        if (whole.n > 0)
            assert_memory_equal(whole.data, steps.data, whole.n);
        token_stream_release(&stream);
        text_buf_release(&whole);
        text_buf_release(&steps);
    }
}

static void steps_equal_the_whole_for_random_ids(void **state)
{
    struct tokenizer *spm = open_spm(), *json = open_json();

    compare_random(spm, 1);
    compare_random(json, 2);
    tokenizer_close(spm);
    tokenizer_close(json);
}

static void a_flushed_stream_is_as_new(void **state)
{
    struct tokenizer *tok = open_spm();
    struct token_stream stream;
    struct text_buf out;
    struct err err = {{0}};

    text_buf_init(&out);
    token_stream_init(&stream, tok);
    for (int i = 0; i < 2; i++) { /* the leading space is dropped again */
        assert_int_equal(token_stream_push(&stream, FIX_SPACE_A, &out, &err), ST_OK);
        token_stream_flush(&stream, &out);
    }
    assert_int_equal(out.n, 2);
    assert_memory_equal(out.data, "aa", 2);
    assert_int_equal(token_stream_push(&stream, FIX_N, &out, &err), ST_INVALID);
    assert_int_equal(out.n, 2);
    token_stream_release(&stream);
    text_buf_release(&out);
    tokenizer_close(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_character_appears_with_its_last_byte),
        cmocka_unit_test(bytes_that_make_no_character_are_replaced),
        cmocka_unit_test(steps_equal_the_whole_for_random_ids),
        cmocka_unit_test(a_flushed_stream_is_as_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
