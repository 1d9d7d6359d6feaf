#include "tests/test_helpers.h"

#include "text/demo_text.h"
#include "text/demo_words.h"

static struct demo_text *open_text(uint64_t seed, uint32_t n_attributes, size_t n_bytes)
{
    struct demo_text_options options = {.seed = seed, .n_attributes = n_attributes};
    struct demo_text *text = NULL;

    assert_int_equal(demo_text_open(&text, &options, NULL), ST_OK);
    demo_text_grow(text, n_bytes);
    return text;
}

static void one_seed_always_gives_the_same_bytes(void **state)
{
    static const char golden[] =
        "Late at dusk came the Fenhurst, next a newcomer.\n"
        "The Fenhurst: master Gus Eyre 98, mate Fay Abel 55, cook Bert Fisk 77,";
    struct demo_text *text = open_text(7, 0, 1);
    size_t n;

    /* The checkpoints were trained on these bytes: another text needs others. */
    assert_memory_equal(demo_text_bytes(text, &n), golden, sizeof golden - 1);
    demo_text_close(text);
}

static void a_longer_text_begins_with_the_shorter_one(void **state)
{
    struct demo_text *shorter = open_text(11, 0, 9000), *longer = open_text(11, 0, 90000);
    size_t n_short, n_long, n_spans;
    const char *a, *b;

    demo_text_grow(shorter, 9001);
    a = demo_text_bytes(shorter, &n_short);
    b = demo_text_bytes(longer, &n_long);
    assert_true(n_short >= 9001 && n_long >= 90000);
    assert_memory_equal(a, b, n_short);
    assert_int_equal(strlen(b), n_long);
    demo_text_recalled(longer, &n_spans);
    assert_true(n_spans > 0);
    demo_text_close(shorter);
    demo_text_close(longer);
}

static void seeds_give_different_texts(void **state)
{
    struct demo_text *a = open_text(1, 0, 4000), *b = open_text(2, 0, 4000);
    size_t n;

    assert_memory_not_equal(demo_text_bytes(a, &n), demo_text_bytes(b, &n), 4000);
    demo_text_close(a);
    demo_text_close(b);
}

/* The words " attribute value" of a span and the barge whose line it is on,
 * found in the bytes alone. */
struct fact {
    const char *name, *words;
    size_t name_bytes, words_bytes;
};

static struct fact fact_at(const char *bytes, struct demo_text_span span)
{
    size_t line = span.begin, word = span.begin - 1;
    struct fact f;

    while (line > 0 && bytes[line - 1] != '\n')
        line--;
    while (bytes[word] != ' ')
        word--;
    f.name = bytes + line + strlen("The ");
    f.name_bytes = strcspn(f.name, ":");
    f.words = bytes + word;
    f.words_bytes = span.end - word;
    return f;
}

/* Where the newest earlier line about the barge says the same words; `from`
 * where none does. */
static size_t told_before(const char *bytes, size_t from, struct fact f)
{
    size_t line_end = from;

    while (line_end > 0) {
        size_t line = line_end - 1;
        while (line > 0 && bytes[line - 1] != '\n')
            line--;
        if (strncmp(bytes + line, "The ", 4) == 0 &&
            strncmp(bytes + line + 4, f.name, f.name_bytes) == 0 &&
            bytes[line + 4 + f.name_bytes] == ':' &&
            memmem(bytes + line, line_end - line, f.words, f.words_bytes))
            return line;
        line_end = line;
    }
    return from;
}

static void every_recalled_value_was_told_before_for_the_same_barge(void **state)
{
    struct demo_text *text = open_text(3, 0, 150000);
    size_t n_bytes, n_spans, end = 0;
    const char *bytes = demo_text_bytes(text, &n_bytes);
    const struct demo_text_span *spans = demo_text_recalled(text, &n_spans);

    for (size_t i = 0; i < n_spans; i++) {
        size_t line = spans[i].begin;
        struct fact f = fact_at(bytes, spans[i]);

        assert_true(spans[i].begin >= end && spans[i].end > spans[i].begin);
        assert_true(spans[i].end <= n_bytes && bytes[spans[i].begin] == ' ');
        assert_true(strchr(",.", bytes[spans[i].end]));
        end = spans[i].end;
        while (line > 0 && bytes[line - 1] != '\n')
            line--;
        assert_true(told_before(bytes, line, f) < line);
    }
    demo_text_close(text);
}

static void the_continuation_needs_facts_from_far_back(void **state)
{
    struct demo_text *text = open_text(4, 0, 150000);
    size_t n_bytes, n_spans, recalled = 0, far = 0, n = 0;
    const char *bytes = demo_text_bytes(text, &n_bytes);
    const struct demo_text_span *spans = demo_text_recalled(text, &n_spans);

    for (size_t i = 0; i < n_spans; i++) {
        if (spans[i].begin < n_bytes / 2)
            continue;
        recalled += spans[i].end - spans[i].begin;
        n++;
        /* 8000 bytes are about 1800 tokens. */
        far += spans[i].begin - told_before(bytes, spans[i].begin - 200, fact_at(bytes, spans[i])) >
               8000;
    }
    assert_true(recalled * 10 > n_bytes / 2 * 3); /* over 30 % of the bytes */
    assert_true(far * 10 > n * 7);
    demo_text_close(text);
}

static void every_heading_names_the_next_section(void **state)
{
    struct demo_text *text = open_text(5, 0, 400000);
    size_t n_bytes, n_headings = 0;
    const char *bytes = demo_text_bytes(text, &n_bytes);
    char expected[32] = "";

    for (const char *next = strstr(bytes, ", next "); next; next = strstr(next + 1, ", next ")) {
        const char *name = next;

        while (name[-1] != ' ')
            name--;
        if (expected[0]) {
            assert_int_equal(strlen(expected), (size_t)(next - name));
            assert_memory_equal(expected, name, (size_t)(next - name));
        }
        expected[0] = 0;
        if (strncmp(next, ", next the ", 11) == 0)
            snprintf(expected, sizeof expected, "%.*s", (int)strcspn(next + 11, "."), next + 11);
        n_headings++;
    }
    assert_true(n_headings > 300);
    demo_text_close(text);
}

static void a_short_register_uses_the_same_few_attributes_throughout(void **state)
{
    struct demo_text *text = open_text(6, 5, 3000);
    size_t n_bytes, n_used = 0;
    const char *bytes = demo_text_bytes(text, &n_bytes);

    for (int a = 0; a < DEMO_ATTRIBUTES; a++) {
        char told[2][32];
        snprintf(told[0], sizeof told[0], ", %s ", demo_attributes[a].word);
        snprintf(told[1], sizeof told[1], ": %s ", demo_attributes[a].word);
        n_used += strstr(bytes, told[0]) || strstr(bytes, told[1]);
    }
    assert_int_equal(n_used, 5);
    demo_text_close(text);
}

static void more_attributes_than_there_are_is_refused_in_words(void **state)
{
    struct demo_text_options options = {.n_attributes = DEMO_ATTRIBUTES + 1};
    struct demo_text *text = NULL;
    struct err err = {{0}};

    assert_int_equal(demo_text_open(&text, &options, &err), ST_INVALID);
    assert_null(text);
    assert_non_null(strstr(err.text, "at most 40 attributes, not 41"));
}

static enum status count_spaces(void *ctx, const char *text, size_t n_bytes, size_t *out_tokens,
                                struct err *err)
{
    size_t n = 0;

    ++*(int *)ctx;
    for (size_t i = 0; i < n_bytes; i++)
        n += text[i] == ' ';
    *out_tokens = n;
    return ST_OK;
}

static enum status count_nothing(void *ctx, const char *text, size_t n_bytes, size_t *out_tokens,
                                 struct err *err)
{
    *out_tokens = 0;
    return ST_OK;
}

static enum status count_fails(void *ctx, const char *text, size_t n_bytes, size_t *out_tokens,
                               struct err *err)
{
    return err_set(err, ST_CORRUPT, "no vocabulary");
}

static void text_grows_to_a_number_of_tokens_in_few_questions(void **state)
{
    static const size_t wanted[] = {1, 256, 2048, 40000};

    for (size_t i = 0; i < 4; i++) {
        struct demo_text *text = open_text(8, 0, 0);
        size_t have = 0;
        int asked = 0;

        assert_int_equal(demo_text_grow_tokens(text, wanted[i], count_spaces, &asked, &have, NULL),
                         ST_OK);
        assert_true(have >= wanted[i] && have < wanted[i] + wanted[i] / 10 + 400);
        assert_true(asked <= 4);
        demo_text_close(text);
    }
}

static void a_counter_that_fails_or_finds_nothing_ends_the_growth(void **state)
{
    struct demo_text *text = open_text(9, 0, 0);
    struct err err = {{0}};
    size_t have;

    assert_int_equal(demo_text_grow_tokens(text, 10, count_nothing, NULL, &have, &err), ST_INVALID);
    assert_int_equal(demo_text_grow_tokens(text, 10, count_fails, NULL, &have, &err), ST_CORRUPT);
    assert_non_null(strstr(err.text, "no vocabulary"));
    demo_text_close(text);
}

static void a_very_long_log_never_runs_out_of_names(void **state)
{
    struct demo_text *text = open_text(10, 1, 3000000);
    size_t n_bytes;

    demo_text_bytes(text, &n_bytes);
    assert_true(n_bytes >= 3000000);
    demo_text_close(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_always_gives_the_same_bytes),
        cmocka_unit_test(a_longer_text_begins_with_the_shorter_one),
        cmocka_unit_test(seeds_give_different_texts),
        cmocka_unit_test(every_recalled_value_was_told_before_for_the_same_barge),
        cmocka_unit_test(the_continuation_needs_facts_from_far_back),
        cmocka_unit_test(every_heading_names_the_next_section),
        cmocka_unit_test(a_short_register_uses_the_same_few_attributes_throughout),
        cmocka_unit_test(more_attributes_than_there_are_is_refused_in_words),
        cmocka_unit_test(text_grows_to_a_number_of_tokens_in_few_questions),
        cmocka_unit_test(a_counter_that_fails_or_finds_nothing_ends_the_growth),
        cmocka_unit_test(a_very_long_log_never_runs_out_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
