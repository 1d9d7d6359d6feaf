/*
 * Files that lie: every field that is read, wrong in each way that matters,
 * ends in one line that names it.
 */
#include "tests/text/tokenizer_fixture.h"

#include "common/mem.h"

#define MODEL(fields)                                                                              \
    "{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"aa\":1,"    \
    "\"<s>\":2}," fields "}}"
#define WITH(section)                                                                              \
    "{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},"            \
    "\"merges\":[]}," section "}"
#define NORM(n)  WITH("\"normalizer\":" n)
#define PRE(p)   WITH("\"pre_tokenizer\":" p)
#define ADDED(a) WITH("\"added_tokens\":" a)
#define DECODER(d)                                                                                 \
    "{\"decoder\":" d ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}"
#define POST(p) WITH("\"post_processor\":" p)

struct hostile {
    const char *bytes;
    enum status st;
    const char *part;
};

static void all_refused(const struct hostile *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fix_refused(cases[i].bytes, strlen(cases[i].bytes), cases[i].st, cases[i].part);
}
#define ALL_REFUSED(cases) all_refused(cases, sizeof cases / sizeof cases[0])

static void each_field_of_the_model_is_checked(void **state)
{
    static const struct hostile cases[] = {
        {"{\"model\":[]}", ST_CORRUPT, "model: missing or not an object"},
        {"{\"model\":{\"type\":3}}", ST_CORRUPT, "model: type is missing or not a string"},
        {"{\"model\":{\"type\":\"BPE\"}}", ST_CORRUPT, "vocab is missing or not an object"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":[]}}", ST_CORRUPT, "vocab is missing or not"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":\"0\"}}}", ST_CORRUPT, "'a' is not an"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", ST_CORRUPT, "merges is missing"},
        {MODEL("\"merges\":{}"), ST_CORRUPT, "merges is missing or not an array"},
        {MODEL("\"merges\":[\"aa\"]"), ST_CORRUPT, "merges[0]: not two pieces"},
        {MODEL("\"merges\":[[\"a\"]]"), ST_CORRUPT, "merges[0]: neither a string nor a list"},
        {MODEL("\"merges\":[[\"a\",\"a\",\"a\"]]"), ST_CORRUPT, "merges[0]: neither"},
        {MODEL("\"merges\":[[\"a\",1]]"), ST_CORRUPT, "merges[0]: neither"},
        {MODEL("\"merges\":[\"a a\",\"a x\"]"), ST_CORRUPT, "merges[1]: 'x' is not in"},
        {MODEL("\"merges\":[\"a aa\"]"), ST_CORRUPT, "'aaa' is not in the vocabulary"},
        {MODEL("\"merges\":[null]"), ST_CORRUPT, "merges[0]"},
        {MODEL("\"merges\":[],\"byte_fallback\":\"yes\""), ST_CORRUPT, "byte_fallback is neither"},
        {MODEL("\"merges\":[],\"ignore_merges\":0"), ST_CORRUPT, "ignore_merges is neither"},
        {MODEL("\"merges\":[],\"unk_token\":0"), ST_CORRUPT, "unk_token is not a string"},
        {MODEL("\"merges\":[],\"continuing_subword_prefix\":\"##\""), ST_UNSUPPORTED, "subword"},
    };

    ALL_REFUSED(cases);
}

static void each_field_of_the_steps_is_checked(void **state)
{
    static const struct hostile cases[] = {
        {NORM("[]"), ST_CORRUPT, "normalizer: not an object"},
        {NORM("{}"), ST_CORRUPT, "normalizer: type is missing"},
        {NORM("{\"type\":\"Sequence\"}"), ST_CORRUPT, "normalizers is missing"},
        {NORM("{\"type\":\"Sequence\",\"normalizers\":[7]}"), ST_CORRUPT, "normalizers[0]: not"},
        {NORM("{\"type\":\"Prepend\"}"), ST_CORRUPT, "prepend is missing or not a string"},
        {NORM("{\"type\":\"Replace\",\"content\":\"x\"}"), ST_CORRUPT, "pattern is missing"},
        {NORM("{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"}}"), ST_CORRUPT, "content is"},
        {NORM("{\"type\":\"Replace\",\"pattern\":{\"String\":3},\"content\":\"\"}"), ST_CORRUPT,
         "pattern: String is missing or not a string"},
        {NORM("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[\"},\"content\":\"\"}"), ST_CORRUPT,
         "pattern: the pattern fails at byte 1"},
        {PRE("3"), ST_CORRUPT, "pre_tokenizer: not an object"},
        {PRE("{\"type\":\"Sequence\",\"pretokenizers\":{}}"), ST_CORRUPT, "pretokenizers is"},
        {PRE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"}}"), ST_CORRUPT, "behavior is"},
        {PRE("{\"type\":\"Split\",\"behavior\":\"Isolated\"}"), ST_CORRUPT, "pattern is missing"},
        {PRE("{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"a\"},"
             "\"invert\":1}"),
         ST_CORRUPT, "invert is neither"},
        {PRE("{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"(?<!a*)b\"}}"),
         ST_CORRUPT, "the pattern fails at byte"},
        {PRE("{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"\\\\C\"}}"),
         ST_CORRUPT, "the pattern fails at byte 2"},
        {PRE("{\"type\":\"ByteLevel\",\"use_regex\":\"no\"}"), ST_CORRUPT, "use_regex is neither"},
        {PRE("{\"type\":\"ByteLevel\",\"add_prefix_space\":2}"), ST_CORRUPT, "add_prefix_space"},
        {PRE("{\"type\":\"Metaspace\"}"), ST_CORRUPT, "replacement is missing"},
        {PRE("{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"), ST_CORRUPT, "not one character"},
        {PRE("{\"type\":\"Metaspace\",\"replacement\":\"\",\"split\":false}"), ST_CORRUPT,
         "not one character"},
        {PRE("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}"),
         ST_CORRUPT, "prepend_scheme is not always, first or never"},
        {PRE("{\"type\":\"Digits\",\"individual_digits\":[]}"), ST_CORRUPT, "individual_digits"},
        {POST("{\"type\":\"RobertaProcessing\"}"), ST_UNSUPPORTED, "'RobertaProcessing'"},
        {POST("[]"), ST_CORRUPT, "post_processor: not an object"},
    };

    ALL_REFUSED(cases);
}

static void each_field_of_tokens_and_decoders_is_checked(void **state)
{
    static const struct hostile cases[] = {
        {ADDED("{}"), ST_CORRUPT, "added_tokens: not an array"},
        {ADDED("[1]"), ST_CORRUPT, "added_tokens: [0]: id is not an integer"},
        {ADDED("[{\"id\":1.0,\"content\":\"x\"}]"), ST_CORRUPT, "[0]: id is not an integer"},
        {ADDED("[{\"id\":1}]"), ST_CORRUPT, "content is missing"},
        {ADDED("[{\"id\":-1,\"content\":\"x\"}]"), ST_CORRUPT, "id -1, not one of"},
        {ADDED("[{\"id\":4294967296,\"content\":\"x\"}]"), ST_CORRUPT, "id 4294967296, not one"},
        {ADDED("[{\"id\":0,\"content\":\"x\"}]"), ST_CORRUPT, "'a' and 'x' have the same id 0"},
        {ADDED("[{\"id\":1,\"content\":\"x\"},{\"id\":2,\"content\":\"x\"}]"), ST_CORRUPT,
         "'x' has id 2 here and 1"},
        {ADDED("[{\"id\":1,\"content\":\"x\",\"special\":\"no\"}]"), ST_CORRUPT, "special is"},
        {ADDED("[{\"id\":1,\"content\":\"x\",\"lstrip\":1}]"), ST_CORRUPT, "lstrip is neither"},
        {ADDED("[{\"id\":1,\"content\":\"x\",\"rstrip\":1}]"), ST_CORRUPT, "rstrip is neither"},
        {ADDED("[{\"id\":1,\"content\":\"x\",\"normalized\":1}]"), ST_CORRUPT, "normalized is"},
        {DECODER("null"), ST_UNSUPPORTED, "how tokens become text again is not known"},
        {DECODER("7"), ST_CORRUPT, "decoder: not an object"},
        {DECODER("{\"type\":\"WordPiece\"}"), ST_UNSUPPORTED, "'WordPiece'"},
        {DECODER("{\"type\":\"Sequence\"}"), ST_CORRUPT, "decoders is missing"},
        {DECODER("{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}"),
         ST_CORRUPT, "pattern is empty"},
        {DECODER("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"\"}"),
         ST_UNSUPPORTED, "Replace by a Regex"},
        {DECODER("{\"type\":\"Metaspace\",\"replacement\":\"\"}"), ST_CORRUPT, "one character"},
        {DECODER("{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}"), ST_UNSUPPORTED,
         "behind Fuse"},
        {DECODER("{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Strip\","
                 "\"content\":\" \",\"start\":-4,\"stop\":0}]}"),
         ST_CORRUPT, "start is not one of 0..1000"},
    };

    ALL_REFUSED(cases);
}

static void each_line_of_ranks_is_checked(void **state)
{
    static const struct hostile cases[] = {
        {"YQ== 0\nYg== 0\n", ST_CORRUPT, "line 2 is not base64, a space and 1"},
        {"YQ== 0\nYg==1\n", ST_CORRUPT, "line 2"},
        {"YQ== 0\n\nYg== 1\n", ST_CORRUPT, "line 2"},
        {"YQ== 0\nYg== 1x\n", ST_CORRUPT, "line 2"},
        {"YQ== 0\nYg== -1\n", ST_CORRUPT, "line 2"},
        {"YQ== 0\nYg== 99999999999999999999\n", ST_CORRUPT, "line 2"},
        {"YQ== 0\nYQ== 1\n", ST_CORRUPT, "'a' stands under two ids, 0 and 1"},
        {"YQ== 0\nYg= 1\n", ST_CORRUPT, "line 2 does not begin with base64"},
        {"YQ== 0\n==== 1\n", ST_CORRUPT, "line 2 does not begin with base64"},
        {"YQ== 1\n", ST_CORRUPT, "line 1 is not base64, a space and 0"},
    };

    ALL_REFUSED(cases);
}

static void expect_no_ids(const char *json, const char *text, size_t n, const char *part)
{
    struct text_buf bytes = {(char *)(uintptr_t)json, strlen(json), strlen(json)};
    struct tokenizer *tok = fix_open(&bytes);
    struct token_list list;
    struct err err = {{0}};

    token_list_init(&list);
    assert_int_equal(tokenizer_encode(tok, text, n, &list, &err), ST_INVALID);
    if (strstr(err.text, part) == NULL)
        fail_msg("'%s', not '%s'", err.text, part);
    assert_int_equal(list.n, 0);
    token_list_release(&list);
    tokenizer_close(tok);
}

#define BOMB(regex)                                                                                \
    PRE("{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"" regex "\"}}")

static void patterns_that_explode_end_in_one_line(void **state)
{
    enum { N = 200000 };
    char *text = mem_alloc(N);

    memset(text, 'a', N);
    expect_no_ids(BOMB("(a+)+[bc]"), text, N, "match limit exceeded");
    expect_no_ids(BOMB("(?:a|aa|aaa)+[bc]"), text, N, "limit");
    expect_no_ids(BOMB("(?R)?a[bc]"), text, N, "limit");
    /* Each search is cheap; it is their number that makes a square. */
    expect_no_ids(BOMB("(?=a*[bc])a"), text, N, "us of CPU time a byte");
    free(text);
}

/* A special token whose spelling merges can build: only tokenizer_encode_plain
 * promises that a text does not become one, and it holds. */
static void merges_that_end_in_a_special_token_do_not_get_past_plain_text(void **state)
{
    static const char json[] =
        "{\"added_tokens\":[{\"id\":2,\"content\":\"ab\",\"special\":true,\"single_word\":true}],"
        "\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,"
        "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}";
    static const struct plain_text text = {"ab", 2, TEXT_AT_START};
    struct text_buf bytes = {(char *)(uintptr_t)json, sizeof json - 1, sizeof json};
    struct tokenizer *tok = fix_open(&bytes);
    struct token_list list;
    struct err err = {{0}};

    token_list_init(&list);
    FIX_EXPECT(tok, "ab", 2);
    assert_int_equal(tokenizer_encode_plain(tok, &text, &list, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "makes the special token 2 of ordinary text"));
    assert_int_equal(list.n, 0);
    token_list_release(&list);
    tokenizer_close(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_of_the_model_is_checked),
        cmocka_unit_test(each_field_of_the_steps_is_checked),
        cmocka_unit_test(each_field_of_tokens_and_decoders_is_checked),
        cmocka_unit_test(each_line_of_ranks_is_checked),
        cmocka_unit_test(patterns_that_explode_end_in_one_line),
        cmocka_unit_test(merges_that_end_in_a_special_token_do_not_get_past_plain_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
