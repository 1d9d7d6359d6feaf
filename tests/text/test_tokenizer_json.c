#include "tests/text/tokenizer_fixture.h"

#include "common/mem.h"

#define BYTE_LEVEL  "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}"
#define SPLIT(r, b) "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" r "\"},\"behavior\":\"" b "\"}"
#define SPELL       "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define SEQUENCE(a) "{\"type\":\"Sequence\",\"pretokenizers\":[" a "," SPELL "]}"

static struct tokenizer *open_with(const char *normalizer, const char *pretok)
{
    struct text_buf json;
    struct tokenizer *tok;

    text_buf_init(&json);
    fix_json(&json, normalizer, pretok);
    tok = fix_open(&json);
    text_buf_release(&json);
    return tok;
}

static void both_spellings_of_merges_count(void **state)
{
    struct tokenizer *tok = open_with("null", BYTE_LEVEL);

    FIX_EXPECT(tok, " the", 258);
    FIX_EXPECT(tok, "he the", 257, 258);
    FIX_EXPECT(tok, " t", 256);
    assert_int_equal(tokenizer_n_vocab(tok), 260);
    assert_int_equal(tokenizer_bos(tok), -1);
    tokenizer_close(tok);
}

static void a_word_does_not_reach_over_a_split(void **state)
{
    struct tokenizer *whole = open_with("null", SPELL);
    struct tokenizer *cut = open_with("null", SEQUENCE(SPLIT("t", "Isolated")));

    FIX_EXPECT(whole, "x the", 'x', 258);
    FIX_EXPECT(cut, "x the", 'x', ' ', 't', 257);
    tokenizer_close(whole);
    tokenizer_close(cut);
}

static void each_behavior_of_a_split_treats_matches_its_way(void **state)
{
    /* "h" and "e" merge only when one piece holds both. */
    static const struct {
        const char *pretok;
        int32_t want[4];
        uint32_t n;
    } cases[] = {
        {SEQUENCE(SPLIT("h", "Removed")), {'x', 'e'}, 2},
        {SEQUENCE(SPLIT("h", "MergedWithNext")), {'x', 257}, 2},
        {SEQUENCE(SPLIT("h", "MergedWithPrevious")), {'x', 'h', 'e'}, 3},
        {SEQUENCE(SPLIT("h|e", "Contiguous")), {'x', 257}, 2},
        {SEQUENCE(SPLIT("h|e", "Isolated")), {'x', 'h', 'e'}, 3},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tokenizer *tok = open_with("null", cases[i].pretok);

        fix_expect(tok, "xhe", cases[i].want, cases[i].n);
        tokenizer_close(tok);
    }
}

static void special_tokens_in_the_text_become_their_ids_and_print_nothing(void **state)
{
    static const int32_t ids[] = {257, 259, 257};
    struct tokenizer *tok = open_with("null", BYTE_LEVEL);
    char *text = fix_decode(tok, ids, 3);

    FIX_EXPECT(tok, "he<|end|>he<|end|", 257, 259, 257, '<', '|', 'e', 'n', 'd', '|');
    assert_true(tokenizer_is_special(tok, 259));
    assert_false(tokenizer_is_special(tok, 258));
    assert_false(tokenizer_is_special(tok, 260));
    assert_false(tokenizer_is_special(tok, -1));
    assert_string_equal(text, "hehe");
    free(text);
    tokenizer_close(tok);
}

static void nfc_composes_before_encoding(void **state)
{
    struct tokenizer *tok = open_with("{\"type\":\"NFC\"}", BYTE_LEVEL);

    FIX_EXPECT(tok, "e\xCC\x81", 0xC3, 0xA9);
    tokenizer_close(tok);
}

static void an_absurd_run_of_combining_marks_is_refused(void **state)
{
    struct tokenizer *tok = open_with("{\"type\":\"NFC\"}", BYTE_LEVEL);
    struct token_list list;
    struct text_buf text;
    struct err err = {{0}};

    token_list_init(&list);
    text_buf_init(&text);
    for (int i = 0; i < 50000; i++) /* unsorted marks: quadratic to sort */
        fix_text(&text, i % 2 ? "\xCC\x81" : "\xCC\xA3");
    assert_int_equal(tokenizer_encode(tok, text.data, text.n, &list, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "combining marks"));
    text_buf_release(&text);
    token_list_release(&list);
    tokenizer_close(tok);
}

static void text_that_is_not_utf8_is_refused_with_the_byte(void **state)
{
    struct tokenizer *tok = open_with("null", BYTE_LEVEL);
    struct token_list list;
    struct err err = {{0}};

    token_list_init(&list);
    token_list_push(&list, 7);
    assert_int_equal(tokenizer_encode(tok, "ab\xC3(", 4, &list, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "byte 2"));
    assert_int_equal(list.n, 1);
    assert_int_equal(tokenizer_encode(tok, NULL, 0, &list, &err), ST_OK);
    assert_int_equal(list.n, 1);
    token_list_release(&list);
    tokenizer_close(tok);
}

static void a_catastrophic_pattern_ends_in_an_error(void **state)
{
    struct tokenizer *tok = open_with("null", SEQUENCE(SPLIT("(a+)+b|(?:a|aa)+c", "Isolated")));
    struct token_list list;
    struct err err = {{0}};
    char text[65];

    memset(text, 'a', 64);
    text[64] = '\0';
    token_list_init(&list);
    assert_int_equal(tokenizer_encode(tok, text, 64, &list, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "limit"));
    token_list_release(&list);
    tokenizer_close(tok);
}

static void an_id_outside_the_vocabulary_is_not_decoded(void **state)
{
    struct tokenizer *tok = open_with("null", BYTE_LEVEL);
    static const int32_t ids[] = {257, 260};
    struct text_buf out;
    struct err err = {{0}};

    text_buf_init(&out);
    assert_int_equal(tokenizer_decode(tok, ids, 2, &out, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "260"));
    assert_int_equal(out.n, 0);
    text_buf_release(&out);
    tokenizer_close(tok);
}

#define MODEL(extra, vocab, merges)                                                                \
    "{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\"" extra ",\"vocab\":" vocab       \
    ",\"merges\":" merges "}}"
#define WITH(section)                                                                              \
    "{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},"            \
    "\"merges\":[]}," section "}"

static void what_cannot_be_followed_is_refused_by_name(void **state)
{
    static const struct {
        const char *json;
        enum status st;
        const char *part;
    } cases[] = {
        {"{\"model\":", ST_CORRUPT, "line 1, column 9"},
        {"{\"a\":1,\"a\":2}", ST_CORRUPT, "duplicate"},
        {"{}", ST_CORRUPT, "model: missing"},
        {"{\"model\":{\"type\":\"Unigram\"}}", ST_UNSUPPORTED, "'Unigram'"},
        {MODEL("", "{}", "[]"), ST_CORRUPT, "vocab is empty"},
        {MODEL("", "{\"a\":-1}", "[]"), ST_CORRUPT, "id -1"},
        {MODEL("", "{\"a\":4194304}", "[]"), ST_CORRUPT, "id 4194304"},
        {MODEL("", "{\"a\":9223372036854775807}", "[]"), ST_CORRUPT, "9223372036854775807"},
        {MODEL("", "{\"a\":99999999999999999999}", "[]"), ST_CORRUPT, "too big integer"},
        {MODEL("", "{\"a\":0.5}", "[]"), ST_CORRUPT, "'a' is not an integer"},
        {MODEL("", "{\"a\":0,\"b\":0}", "[]"), ST_CORRUPT, "'a' and 'b' have the same id 0"},
        {MODEL("", "{\"a\":0,\"a\":1}", "[]"), ST_CORRUPT, "duplicate object key"},
        {MODEL("", "{\"a\":0,\"aa\":1}", "[\"a a\",[\"a\",\"a\"]]"), ST_CORRUPT, "merges[1]"},
        {MODEL("", "{\"a\":0}", "[\"a b\"]"), ST_CORRUPT, "merges[0]: 'b' is not in"},
        {MODEL("", "{\"a\":0}", "[\"a a\"]"), ST_CORRUPT, "'aa' is not in the vocabulary"},
        {MODEL("", "{\"a\":0,\"\":1}", "[[\"a\",\"\"]]"), ST_CORRUPT, "is empty"},
        {MODEL("", "{\"a\":0}", "[\"a a a\"]"), ST_CORRUPT, "one space"},
        {MODEL("", "{\"a\":0}", "[7]"), ST_CORRUPT, "merges[0]"},
        {MODEL(",\"unk_token\":\"u\"", "{\"a\":0}", "[]"), ST_CORRUPT, "unk_token: 'u'"},
        {MODEL(",\"dropout\":0.1", "{\"a\":0}", "[]"), ST_UNSUPPORTED, "dropout"},
        {MODEL(",\"end_of_word_suffix\":\"</w>\"", "{\"a\":0}", "[]"), ST_UNSUPPORTED, "suffix"},
        {MODEL(",\"fuse_unk\":3", "{\"a\":0}", "[]"), ST_CORRUPT, "fuse_unk"},
        {WITH("\"normalizer\":{\"type\":\"Lowercase\"}"), ST_UNSUPPORTED, "'Lowercase'"},
        {WITH("\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"), ST_UNSUPPORTED, "'Bert"},
        {WITH("\"pre_tokenizer\":" SPLIT("(", "Isolated")), ST_CORRUPT, "at byte 1"},
        {WITH("\"pre_tokenizer\":" SPLIT("", "Isolated")), ST_CORRUPT, "empty"},
        {WITH("\"pre_tokenizer\":" SPLIT("a", "Dropped")), ST_UNSUPPORTED, "'Dropped'"},
        {WITH("\"post_processor\":{\"type\":\"BertProcessing\"}"), ST_UNSUPPORTED, "'BertP"},
        {WITH("\"added_tokens\":[{\"id\":1,\"content\":\"a\"}]"), ST_CORRUPT, "id 1 here and 0"},
        {WITH("\"added_tokens\":[{\"id\":1,\"content\":\"\"}]"), ST_CORRUPT, "empty"},
        {WITH("\"added_tokens\":[{\"id\":1,\"content\":\"x\",\"single_word\":1}]"), ST_CORRUPT,
         "single_word"},
        {WITH("\"added_tokens\":[{\"id\":1,\"content\":\"x\"},{\"id\":1,\"content\":\"x\"}]"),
         ST_CORRUPT, "[1]: id 1"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", ST_UNSUPPORTED,
         "decoder"},
        {"", ST_CORRUPT, "empty"},
        {"hello", ST_CORRUPT, "neither a tokenizer.json"},
        {"version https://git-lfs.github.com/spec/v1", ST_CORRUPT, "git lfs pull"},
        {"YQ== 0\nYg== 2\n", ST_CORRUPT, "line 2"},
        {"YQ== 0\nY!== 1\n", ST_CORRUPT, "line 2"},
        {"YQ== 0\nYg== 1\n", ST_UNSUPPORTED, "--pattern REGEX says it"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        fix_refused(cases[i].json, strlen(cases[i].json), cases[i].st, cases[i].part);
}

static void deep_nesting_is_refused(void **state)
{
    struct text_buf json;

    text_buf_init(&json);
    fix_text(&json, "{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\",\"vocab\":"
                    "{\"a\":0},\"merges\":[]},\"normalizer\":");
    for (int i = 0; i < 20; i++)
        fix_text(&json, "{\"type\":\"Sequence\",\"normalizers\":[");
    fix_text(&json, "{\"type\":\"NFC\"}");
    for (int i = 0; i < 20; i++)
        fix_text(&json, "]}");
    fix_text(&json, "}");
    fix_refused(json.data, json.n, ST_CORRUPT, "nested deeper");
    json.n = 0;
    for (int i = 0; i < 100000; i++)
        fix_text(&json, "{\"model\":");
    fix_refused(json.data, json.n, ST_CORRUPT, "line 1");
    text_buf_release(&json);
}

/* Copies are exactly sized, so that the sanitizer sees a read behind the end. */
static void every_truncation_and_many_corruptions_end_in_a_status(void **state)
{
    static const char junk[] = {0, '"', '{', '}', ',', '9', '\\', (char)0xFF};
    struct text_buf json;
    unsigned n_open = 0;

    text_buf_init(&json);
    fix_json(&json, "{\"type\":\"NFC\"}", SEQUENCE(SPLIT("\\\\s+|x", "Isolated")));
    for (size_t i = 0; i < 2 * json.n; i++) {
        size_t n = i < json.n ? i : json.n;
        char *copy = mem_alloc(n);
        struct tokenizer *tok = NULL;
        struct err err = {{0}};

        memcpy(copy, json.data, n);
        if (i >= json.n)
            copy[i - json.n] = junk[i % sizeof junk];
        if (tokenizer_open_memory(&tok, copy, n, &err) == ST_OK)
            n_open++;
        else
            assert_true(err.text[0] != '\0');
        tokenizer_close(tok);
        free(copy);
    }
    assert_in_range(n_open, 1, json.n); /* some changes are harmless, no truncation is */
    text_buf_release(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_spellings_of_merges_count),
        cmocka_unit_test(a_word_does_not_reach_over_a_split),
        cmocka_unit_test(each_behavior_of_a_split_treats_matches_its_way),
        cmocka_unit_test(special_tokens_in_the_text_become_their_ids_and_print_nothing),
        cmocka_unit_test(nfc_composes_before_encoding),
        cmocka_unit_test(an_absurd_run_of_combining_marks_is_refused),
        cmocka_unit_test(text_that_is_not_utf8_is_refused_with_the_byte),
        cmocka_unit_test(a_catastrophic_pattern_ends_in_an_error),
        cmocka_unit_test(an_id_outside_the_vocabulary_is_not_decoded),
        cmocka_unit_test(what_cannot_be_followed_is_refused_by_name),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(every_truncation_and_many_corruptions_end_in_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
