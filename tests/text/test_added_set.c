#include "tests/test_helpers.h"

#include "text/added_set.h"
#include "text/text_buf.h"

static void push(struct added_set *set, const char *text, int32_t id, bool single_word)
{
    struct added_token token = {.text = text_copy(text, strlen(text)),
                                .n = strlen(text),
                                .id = id,
                                .single_word = single_word};

    added_set_push(set, &token);
}

/* Fails unless the matches of the text are these ids, -1 ends them. */
static void expect(const struct added_set *set, const char *text, const int32_t *want)
{
    struct added_match match;
    size_t from = 0, n = strlen(text);

    while (added_set_find(set, text, n, from, &match)) {
        if (match.id != *want)
            fail_msg("'%s': %d at %zu, not %d", text, match.id, match.start, *want);
        want++;
        from = match.end;
    }
    if (*want != -1)
        fail_msg("'%s': %d is not found", text, *want);
}

#define EXPECT(set, text, ...) expect(set, text, (const int32_t[]){__VA_ARGS__})

static void the_longest_of_several_is_found(void **state)
{
    struct added_set set;

    added_set_init(&set);
    push(&set, "ab", 0, false);
    push(&set, "abcd", 1, false);
    push(&set, "abce", 2, false);
    push(&set, "a", 3, false);
    push(&set, "abb", 4, false);
    push(&set, "b", 5, false);
    added_set_seal(&set);
    EXPECT(&set, "abcd", 1, -1);
    EXPECT(&set, "abcf", 0, -1);
    EXPECT(&set, "abcdabce", 1, 2, -1);
    EXPECT(&set, "abz", 0, -1);
    EXPECT(&set, "aab", 3, 0, -1);
    EXPECT(&set, "bba", 5, 5, 3, -1);
    EXPECT(&set, "abc", 0, -1);
    EXPECT(&set, "xyz", -1);
    added_set_release(&set);
}

/* The definition: at every place, the longest token that stands there. */
static void the_search_equals_the_definition(void **state)
{
    uint32_t random = 3;

    for (int round = 0; round < 400; round++) {
        struct added_set set;
        char token[20][8], text[64];
        int32_t want[65];
        size_t n_tokens = 1 + (size_t)round % 20, n_want = 0;

        added_set_init(&set);
        for (size_t i = 0; i < n_tokens; i++) {
            size_t len = 1 + (random >> 9) % 6, again = 0;

            for (size_t k = 0; k < len; k++) {
                random = random * 1664525u + 1013904223u; /* Numerical Recipes */
                token[i][k] = (char)('a' + (random >> 20) % 2);
            }
            token[i][len] = '\0';
            while (strcmp(token[again], token[i]) != 0)
                again++;
            if (again == i)
                push(&set, token[i], (int32_t)i, false);
        }
        added_set_seal(&set);
        for (size_t k = 0; k < 63; k++) {
            random = random * 1664525u + 1013904223u;
            text[k] = (char)('a' + (random >> 20) % 2);
        }
        text[63] = '\0';
        for (size_t at = 0, step; at < 63; at += step) {
            step = 0;
            for (size_t i = 0; i < n_tokens; i++) {
                size_t len = strlen(token[i]);

                if (len > step && strncmp(text + at, token[i], len) == 0) {
                    step = len;
                    want[n_want] = (int32_t)i;
                }
            }
            n_want += step > 0;
            step += step == 0;
        }
        want[n_want] = -1;
        expect(&set, text, want);
        added_set_release(&set);
    }
}

static void a_single_word_stands_free_of_letters_and_digits(void **state)
{
    struct added_set set;

    added_set_init(&set);
    push(&set, "cat", 0, true);
    push(&set, "at", 1, false);
    added_set_seal(&set);
    EXPECT(&set, "cat", 0, -1);
    EXPECT(&set, "a cat, (cat)", 0, 0, -1);
    EXPECT(&set, "cats", -1); /* nor "at", which the longer match hides */
    EXPECT(&set, "1cat cat_ at", 1, -1);
    EXPECT(&set,
           "\xC3\xA9"
           "cat",
           -1);
    EXPECT(&set, "cat\xCC\x81", -1); /* a combining accent */
    EXPECT(&set, "cat\xE2\x80\x99s", 0, -1);
    added_set_release(&set);
}

/* No place of a text looks at all the tokens that share its first byte: a
 * billion comparisons would outlast the test's time. */
static void ten_thousand_tokens_with_one_beginning_are_searched_quickly(void **state)
{
    enum { N_TOKENS = 10000, N = 100000 };
    char name[16], *text = malloc(N + 1);
    struct added_match match;
    struct added_set set;

    assert_non_null(text);
    added_set_init(&set);
    for (int i = 0; i < N_TOKENS; i++) {
        snprintf(name, sizeof name, "<%06dx", i);
        push(&set, name, i, false);
    }
    added_set_seal(&set);
    memset(text, '<', N);
    text[N] = '\0';
    assert_false(added_set_find(&set, text, N, 0, &match));
    memcpy(text + N - 8, "<009999x", 8);
    assert_true(added_set_find(&set, text, N, 0, &match));
    assert_int_equal(match.id, 9999);
    assert_int_equal(match.start, N - 8);
    free(text);
    added_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_of_several_is_found),
        cmocka_unit_test(the_search_equals_the_definition),
        cmocka_unit_test(a_single_word_stands_free_of_letters_and_digits),
        cmocka_unit_test(ten_thousand_tokens_with_one_beginning_are_searched_quickly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
