#include "tests/text/tokenizer_fixture.h"

#include <time.h>

#include "common/mem.h"

static struct tokenizer *open_fixture(void)
{
    struct text_buf model;
    struct tokenizer *tok;

    text_buf_init(&model);
    fix_spm(&model);
    tok = fix_open(&model);
    text_buf_release(&model);
    return tok;
}

static void the_best_score_merges_first_wherever_it_stands(void **state)
{
    struct tokenizer *tok = open_fixture();

    FIX_EXPECT(tok, "a", FIX_SPACE_A);
    FIX_EXPECT(tok, "abc", FIX_SPACE_A, FIX_BC); /* not ab + c, though it stands first */
    FIX_EXPECT(tok, "b ab", FIX_SPACE, FIX_B, FIX_SPACE, FIX_AB);
    FIX_EXPECT(tok, "  a", FIX_SPACE, FIX_SPACE, FIX_SPACE_A);
    fix_expect(tok, "", NULL, 0);
    assert_int_equal(tokenizer_bos(tok), FIX_BOS);
    assert_int_equal(tokenizer_eos(tok), FIX_EOS);
    assert_int_equal(tokenizer_n_vocab(tok), FIX_N);
    assert_true(tokenizer_is_special(tok, FIX_UNK) && tokenizer_is_special(tok, FIX_EOS));
    assert_false(tokenizer_is_special(tok, FIX_BYTE));
    tokenizer_close(tok);
}

static void unknown_characters_fall_to_bytes_and_control_names_stay_text(void **state)
{
    struct tokenizer *tok = open_fixture();

    FIX_EXPECT(tok, "\xC3\xA9", FIX_SPACE, FIX_BYTE + 0xC3, FIX_BYTE + 0xA9);
    FIX_EXPECT(tok, "<s>", FIX_SPACE, FIX_BYTE + '<', FIX_BYTE + 's', FIX_BYTE + '>');
    FIX_EXPECT(tok, "b<u>b", FIX_SPACE, FIX_B, FIX_USER, FIX_B);
    tokenizer_close(tok);
}

static void the_first_space_is_dropped_once(void **state)
{
    static const int32_t ids[] = {FIX_BOS, FIX_SPACE, FIX_SPACE_A, FIX_USER, FIX_EOS};
    struct tokenizer *tok = open_fixture();
    char *text = fix_decode(tok, ids, 5);

    assert_string_equal(text, " a<u>");
    free(text);
    tokenizer_close(tok);
}

static void a_long_run_without_spaces_is_fast(void **state)
{
    enum { N = 100 * 1024 };
    struct tokenizer *tok = open_fixture();
    char *text = mem_alloc(N);
    struct token_list list;
    struct err err = {{0}};
    clock_t begun = clock();

    memset(text, 'a', N);
    for (size_t i = 1; i < N; i += 2)
        text[i] = 'b';
    token_list_init(&list);
    assert_int_equal(tokenizer_encode(tok, text, N, &list, &err), ST_OK);
    assert_int_equal(list.n, 1 + N / 2); /* a mark, then "ab" all along */
    assert_true((double)(clock() - begun) / CLOCKS_PER_SEC < 1.0);
    token_list_release(&list);
    free(text);
    tokenizer_close(tok);
}

static void refused_with(const char *tail, size_t n, enum status st, const char *part)
{
    struct text_buf model;

    text_buf_init(&model);
    fix_spm_pieces(&model);
    text_buf_add(&model, tail, n);
    fix_refused(model.data, model.n, st, part);
    text_buf_release(&model);
}

#define REFUSED(st, part, ...)                                                                     \
    refused_with((const char[]){__VA_ARGS__}, sizeof((const char[]){__VA_ARGS__}), st, part)

static void models_that_would_be_read_wrongly_are_refused_by_name(void **state)
{
    REFUSED(ST_UNSUPPORTED, "UNIGRAM", 0x12, 2, 0x18, 1);
    REFUSED(ST_UNSUPPORTED, "UNIGRAM", 0x12, 0); /* the default */
    REFUSED(ST_UNSUPPORTED, "precompiled_charsmap", 0x1A, 3, 0x12, 1, 'x');
    REFUSED(ST_UNSUPPORTED, "treat_whitespace_as_suffix", 0x12, 5, 0x18, 2, (char)0xC0, 1, 1);
    REFUSED(ST_CORRUPT, "unk_id is 1", 0x12, 5, 0x18, 2, (char)0xC0, 2, 1, 0x1A, 0);
    REFUSED(ST_CORRUPT, "no normalizer_spec", 0x12, 2, 0x18, 2);
    REFUSED(ST_CORRUPT, "eos_id", 0x12, 6, 0x18, 2, (char)0xD0, 2, (char)0xFF, 0x7F, 0x1A, 0);
    REFUSED(ST_CORRUPT, "claims 100 bytes, 1 are left", 0x0A, 100, 1);
    REFUSED(ST_CORRUPT, "wire type 3", 0x23);
    REFUSED(ST_CORRUPT, "wire type 0, not 2", 0x08, 1);
    REFUSED(ST_CORRUPT, "exceeds 64 bits", 0x20, -1, -1, -1, -1, -1, -1, -1, -1, -1, 2);
    REFUSED(ST_CORRUPT, "cut off", 0x20, -1);
    REFUSED(ST_CORRUPT, "is empty", 0x0A, 0);
    REFUSED(ST_CORRUPT, "not UTF-8", 0x0A, 3, 0x0A, 1, -1);
    REFUSED(ST_CORRUPT, "two ids", 0x0A, 3, 0x0A, 1, 'a');
    REFUSED(ST_CORRUPT, "not finite", 0x0A, 8, 0x0A, 1, 'x', 0x15, 0, 0, -64, 0x7F);
    REFUSED(ST_UNSUPPORTED, "UNUSED", 0x0A, 5, 0x0A, 1, 'x', 0x18, 5);
    REFUSED(ST_CORRUPT, "UNKNOWN", 0x0A, 5, 0x0A, 1, 'x', 0x18, 2);
    REFUSED(ST_CORRUPT, "not spelled <0xNN>", 0x0A, 5, 0x0A, 1, 'x', 0x18, 6);
}

static void every_truncation_and_every_damaged_byte_end_in_a_status(void **state)
{
    struct text_buf model;

    text_buf_init(&model);
    fix_spm(&model);
    for (size_t i = 0; i < 3 * model.n; i++) {
        size_t n = i < model.n ? i : model.n;
        char *copy = mem_alloc(n); /* exactly sized: the sanitizer sees an over-read */
        struct tokenizer *tok = NULL;
        struct err err = {{0}};
        enum status st;

        memcpy(copy, model.data, n);
        if (i >= model.n)
            copy[i % model.n] = (char)(copy[i % model.n] ^ (i < 2 * model.n ? 0x80 : 0x0F));
        st = tokenizer_open_memory(&tok, copy, n, &err);
        assert_true((st == ST_OK) == (tok != NULL));
        assert_true(i >= model.n || st != ST_OK); /* the rules stand at the very end */
        tokenizer_close(tok);
        free(copy);
    }
    text_buf_release(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_score_merges_first_wherever_it_stands),
        cmocka_unit_test(unknown_characters_fall_to_bytes_and_control_names_stay_text),
        cmocka_unit_test(the_first_space_is_dropped_once),
        cmocka_unit_test(a_long_run_without_spaces_is_fast),
        cmocka_unit_test(models_that_would_be_read_wrongly_are_refused_by_name),
        cmocka_unit_test(every_truncation_and_every_damaged_byte_end_in_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
