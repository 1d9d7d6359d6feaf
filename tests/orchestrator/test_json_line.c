#include "tests/test_helpers.h"

#include "orchestrator/json_line.h"

struct line_case {
    const char *line;
    const char *field;
    const char *words; /* the text, or all of err.text */
};

static enum status read_case(const struct line_case *c, struct text_buf *out, struct err *err)
{
    size_t n = strlen(c->line);
    /* An exact heap copy, so that reading past the end is seen. */
    char *exact = malloc(n > 0 ? n : 1);
    memcpy(exact, c->line, n);
    enum status st = json_line_text(out, exact, n, c->field, err);
    free(exact);
    return st;
}

static void the_field_is_found_also_inside_objects(void **state)
{
    static const struct line_case cases[] = {
        {"{\"text\": \"a b\"}", "text", "a b"},
        {" {\"x\":1,\"text\":\"\\u00e9\\n\"}\r", "text", "\xC3\xA9\n"},
        {"{\"a\":{\"b\":{\"c\":\"deep\"}}}", "a.b.c", "deep"},
        {"{\"text\":\"\"}", "text", ""},
        /* numbers that no type holds stand in fields that nobody asked for */
        {"{\"id\":123456789012345678901234567890,\"text\":\"t\"}", "text", "t"},
        {"{\"text\":\"\\ud83d\\ude00\"}", "text", "\xF0\x9F\x98\x80"},
    };
    struct text_buf out;
    text_buf_init(&out);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {{0}};
        if (read_case(&cases[i], &out, &err) != ST_OK)
            fail_msg("%s: %s", cases[i].line, err.text);
        assert_int_equal(out.n, strlen(cases[i].words));
        assert_memory_equal(out.n > 0 ? out.data : "", cases[i].words, out.n);
    }
    text_buf_release(&out);
}

static void every_wrong_line_says_what_would_be_right(void **state)
{
#define ELSE                                                                                       \
    "; one that holds the text would be right, and dataset: {path: FILE, field: NAME} names "      \
    "another"
    static const struct line_case cases[] = {
        {"{\"a\":1}", "text", "no field \"text\"" ELSE},
        {"{}", "a.b", "no field \"a\"" ELSE},
        {"{\"a\":{}}", "a.b", "no field \"a.b\"" ELSE},
        {"{\"a\":[1]}", "a.b", "\"a\" is a list; an object with \"b\" would be right"},
        {"{\"a\":{\"b\":\"t\"}}", "a.b.c",
         "\"a.b\" is a text; an object with \"c\" would be right"},
        {"{\"text\":null}", "text", "field \"text\" is null; a text in quotes would be right"},
        {"{\"text\":7}", "text", "field \"text\" is a number; a text in quotes would be right"},
        {"{\"text\":true}", "text", "field \"text\" is a switch; a text in quotes would be right"},
        {"{\"text\":{}}", "text", "field \"text\" is an object; a text in quotes would be right"},
        {"{\"text\":[\"a\"]}", "text", "field \"text\" is a list; a text in quotes would be right"},
        {"[\"text\"]", "text", "the line is a list; an object with \"text\" would be right"},
        {"{\"text\":\"\xFF\"}", "text", "byte 9 of the line is 0xFF, which is no UTF-8"},
        {"{\"text\":\"\xC3", "text", "byte 9 of the line is 0xC3, which is no UTF-8"},
        /* UTF-8 of a surrogate, and an overlong form */
        {"\xED\xA0\x80", "text", "byte 0 of the line is 0xED, which is no UTF-8"},
        {"\xC0\xAF", "text", "byte 0 of the line is 0xC0, which is no UTF-8"},
    };
    /* What the JSON reader says is its own; where and what would be right is ours. */
    static const char *const no_json[] = {"",
                                          "{",
                                          "text",
                                          "{\"text\":\"a\"",
                                          "{\"text\":\"a\"} x",
                                          "{\"text\":\"a\"}{\"text\":\"b\"}",
                                          "{'text':'a'}",
                                          "{\"text\":\"a\",\"text\":\"b\"}",
                                          "{\"text\":\"\\ud800\"}",
                                          "{\"text\":\"\t\"}",
                                          "{\"n\":1e999,\"text\":\"a\"}"};
    struct text_buf out;
    int n_wrong = 0;
    text_buf_init(&out);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {{0}};
        assert_int_equal(read_case(&cases[i], &out, &err), ST_INVALID);
        if (strcmp(err.text, cases[i].words) == 0)
            continue;
        print_error("said:   %s\nwanted: %s\n", err.text, cases[i].words);
        n_wrong++;
    }
    assert_int_equal(n_wrong, 0);
    for (size_t i = 0; i < sizeof no_json / sizeof no_json[0]; i++) {
        struct line_case c = {no_json[i], "text", ""};
        struct err err = {{0}};
        assert_int_equal(read_case(&c, &out, &err), ST_INVALID);
        assert_memory_equal(err.text, "no JSON at column ", 18);
        assert_non_null(strstr(err.text, "an object, as {\"text\": \"...\"}, would be right"));
    }
    assert_int_equal(out.n, 0); /* nothing was taken from any of them */
    text_buf_release(&out);
}

static void a_line_of_brackets_without_end_is_refused(void **state)
{
    enum { DEEP = 200000 };
    char *line = malloc(DEEP + 1);
    struct text_buf out;
    struct err err = {{0}};
    memset(line, '[', DEEP);
    line[DEEP] = '\0';
    text_buf_init(&out);
    assert_int_equal(json_line_text(&out, line, DEEP, "text", &err), ST_INVALID);
    assert_non_null(strstr(err.text, "depth"));
    text_buf_release(&out);
    free(line);
}

static void names_of_fields_have_no_empty_part(void **state)
{
    static const char *const good[] = {"text", "a.b", "a b", "a.b.c", "\xC3\xA9"};
    static const char *const bad[] = {"", ".", ".a", "a.", "a..b"};
    char wide[JSON_LINE_FIELD_BYTES + 2];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(json_line_is_field(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(json_line_is_field(bad[i]));
    memset(wide, 'a', sizeof wide);
    wide[sizeof wide - 1] = '\0';
    assert_false(json_line_is_field(wide));
    assert_true(json_line_is_field(wide + 1));
    assert_true(json_line_is_blank(" \t\r", 3));
    assert_true(json_line_is_blank("", 0));
    assert_false(json_line_is_blank(" x", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_field_is_found_also_inside_objects),
        cmocka_unit_test(every_wrong_line_says_what_would_be_right),
        cmocka_unit_test(a_line_of_brackets_without_end_is_refused),
        cmocka_unit_test(names_of_fields_have_no_empty_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
