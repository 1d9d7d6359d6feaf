#include "tests/test_helpers.h"

#include "text/prompt_template.h"

static void expect(const char *text, const char *before, const char *after)
{
    struct prompt_template t;
    struct err err = {{0}};

    prompt_template_init(&t);
    if (prompt_template_parse(&t, "t.txt", text, strlen(text), &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(t.before.n, strlen(before));
    assert_int_equal(t.after.n, strlen(after));
    if (t.before.n > 0)
        assert_memory_equal(t.before.data, before, t.before.n);
    if (t.after.n > 0)
        assert_memory_equal(t.after.data, after, t.after.n);
    prompt_template_release(&t);
}

static void a_template_is_cut_where_the_document_goes(void **state)
{
    expect("{document}", "", "");
    expect("Say {document} twice.\n", "Say ", " twice.");
    expect("a\n\n{document}\n\nb\r\n\n", "a\n\n", "\n\nb");
    expect("{{document}}", "{", "}");
    expect("{document {document}{documents}", "{document ", "{documents}");
}

static void refuse(const char *text, size_t n, const char *words)
{
    struct prompt_template t;
    struct err err = {{0}};
    /* An exact heap copy, so that reading past the end is seen. */
    char *exact = malloc(n > 0 ? n : 1);

    memcpy(exact, text, n);
    prompt_template_init(&t);
    prompt_template_choose(&t, "continue", &err);
    assert_int_equal(prompt_template_parse(&t, "t.txt", exact, n, &err), ST_INVALID);
    assert_string_equal(err.text, words);
    assert_true(t.before.n > 0); /* what it held is still there */
    prompt_template_release(&t);
    free(exact);
}

static void what_is_no_template_is_refused_with_its_line(void **state)
{
    static const char once[] = "t.txt: a template without {document}; it would be right once, "
                               "where the document goes";

    refuse("", 0, once);
    refuse("\n", 1, once);
    refuse("{document", 9, once);
    refuse("{Document}", 10, once);
    refuse("{document}\n\nand {document}", 26,
           "t.txt:3: a second {document}, the first is in line 1; once would be right");
    refuse("a\n{document}\xff", 13, "t.txt:2: byte 12 of the file is 0xFF, which is no UTF-8");
    refuse("{document}\n\xC3", 12, "t.txt:2: byte 11 of the file is 0xC3, which is no UTF-8");
    char *large = calloc(PROMPT_TEMPLATE_MAX_BYTES + 1, 1);
    refuse(large, PROMPT_TEMPLATE_MAX_BYTES + 1,
           "t.txt: a template of 1048577 bytes; at most 1048576 would be right");
    free(large);
}

/* `summarize` says its task on both sides, so that it is not a context ago. */
static void the_built_in_ones_are_found_by_their_words(void **state)
{
    struct prompt_template t;
    struct err err = {{0}};
    char words[64], *rest = words;

    prompt_template_init(&t);
    snprintf(words, sizeof words, "%s", prompt_template_words);
    for (const char *word = strsep(&rest, "|"); word != NULL; word = strsep(&rest, "|"))
        assert_int_equal(prompt_template_choose(&t, word, &err), ST_OK);
    assert_int_equal(prompt_template_choose(&t, "summarize", &err), ST_OK);
    assert_non_null(memmem(t.before.data, t.before.n, "summary", 7));
    assert_non_null(memmem(t.after.data, t.after.n, "summary", 7));
    assert_int_equal(prompt_template_choose(&t, "none", &err), ST_OK);
    assert_int_equal(t.before.n + t.after.n, 0);
    assert_int_equal(prompt_template_choose(&t, "non\x1b", &err), ST_INVALID);
    assert_string_equal(err.text,
                        "template is non\\x1B; one of none|summarize|continue, or a file, "
                        "would be right");
    prompt_template_release(&t);
}

static void a_file_is_named_where_it_cannot_be_read(void **state)
{
    struct prompt_template t;
    struct err err = {{0}};
    char path[] = "/tmp/test_template_XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a {document} b\n", 15), 15);
    close(fd);
    prompt_template_init(&t);
    assert_int_equal(prompt_template_read(&t, path, &err), ST_OK);
    assert_int_equal(t.after.n, 2);
    unlink(path);
    assert_int_equal(prompt_template_read(&t, path, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(prompt_template_read(&t, "/", &err), ST_INVALID);
    prompt_template_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_template_is_cut_where_the_document_goes),
        cmocka_unit_test(what_is_no_template_is_refused_with_its_line),
        cmocka_unit_test(the_built_in_ones_are_found_by_their_words),
        cmocka_unit_test(a_file_is_named_where_it_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
