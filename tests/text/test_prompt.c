#include "tests/test_helpers.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "text/prompt.h"
#include "text/utf8.h"

static char dir[64];

static void write_file(char *path, size_t size, const char *name, const char *bytes, size_t n)
{
    FILE *f;

    snprintf(path, size, "%s/%s", dir, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void refused(const char *path, enum status st, const char *part)
{
    struct text_buf out;
    struct err err = {{0}};
    enum status got;

    text_buf_init(&out);
    got = prompt_read(&out, path, &err);
    if (got != st || strstr(err.text, part) == NULL)
        fail_msg("status %d and '%s', not %d and '%s'", got, err.text, st, part);
    text_buf_release(&out);
}

static void a_text_is_read_byte_for_byte(void **state)
{
    static const char text[] = "a\r\n\0\xC3\xA9\xF0\x9F\x99\x82";
    struct text_buf out;
    struct err err = {{0}};
    char path[128];

    text_buf_init(&out);
    write_file(path, sizeof path, "good", text, sizeof text - 1);
    assert_int_equal(prompt_read(&out, path, &err), ST_OK);
    assert_int_equal(out.n, sizeof text - 1);
    assert_memory_equal(out.data, text, out.n);
    text_buf_release(&out);
    write_file(path, sizeof path, "empty", "", 0);
    assert_int_equal(prompt_read(&out, path, &err), ST_OK);
    assert_int_equal(out.n, 0);
    text_buf_release(&out);
}

static void what_is_no_text_is_refused_with_the_reason(void **state)
{
    char path[128];

    snprintf(path, sizeof path, "%s/none", dir);
    refused(path, ST_NOT_FOUND, "No such file");
    refused(dir, ST_INVALID, "is no regular file");
    refused("/dev/null", ST_INVALID, "is no regular file");
    snprintf(path, sizeof path, "%s/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(path, ST_INVALID, "is no regular file"); /* and does not wait */
    write_file(path, sizeof path, "bad", "ab\xC0\xAF", 4);
    refused(path, ST_INVALID, "byte 2 is 0xC0");
    write_file(path, sizeof path, "cut", "ab\xE2\x82", 4);
    refused(path, ST_INVALID, "byte 2 is 0xE2");
    write_file(path, sizeof path, "large", "", 0);
    assert_int_equal(truncate(path, (off_t)PROMPT_MAX_BYTES + 1), 0); /* sparse */
    refused(path, ST_INVALID, "more than 1073741824 bytes");
}

/* Against the definition: code points 0..10FFFF without surrogates, shortest
 * form; all sequences of up to three bytes and the edges of four. */
static void utf8_is_accepted_as_the_standard_says(void **state)
{
    unsigned n_good = 0;

    for (uint32_t v = 0; v < 1u << 24; v++) {
        char s[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};
        size_t len = utf8_len(s, 3);
        uint32_t code = len ? utf8_code(s, len) : 0;

        n_good += len == 3;
        if (len == 3 && (code < 0x800 || code > 0xFFFF || (code >= 0xD800 && code <= 0xDFFF)))
            fail_msg("%06x is taken for U+%04X", v, code);
    }
    assert_int_equal(n_good, 0xFFFF - 0x7FF - 0x800);
    assert_int_equal(utf8_len("\xF4\x8F\xBF\xBF", 4), 4);
    assert_int_equal(utf8_len("\xF4\x90\x80\x80", 4), 0);
    assert_int_equal(utf8_len("\xF0\x8F\xBF\xBF", 4), 0);
    assert_int_equal(utf8_len("\xF0\x90\x80\x80", 4), 4);
    assert_int_equal(utf8_len("\xF5\x80\x80\x80", 4), 0);
}

static void foreign_bytes_are_safe_in_a_line(void **state)
{
    char shown[UTF8_SHOW_BYTES], all[256];

    assert_string_equal(utf8_show(shown, "a\n\x7F\xC3\xA9\xFF", 6), "a\\x0A\\x7F\xC3\xA9\\xFF");
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    utf8_show(shown, all, sizeof all);
    assert_true(strlen(shown) < UTF8_SHOW_BYTES);
    assert_null(strchr(shown, '\n'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_read_byte_for_byte),
        cmocka_unit_test(what_is_no_text_is_refused_with_the_reason),
        cmocka_unit_test(utf8_is_accepted_as_the_standard_says),
        cmocka_unit_test(foreign_bytes_are_safe_in_a_line),
    };
    static const char *const names[] = {"good", "empty", "bad", "cut", "large", "pipe"};
    char path[128];
    int failed;

    snprintf(dir, sizeof dir, "/tmp/test_prompt_XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    return failed;
}
