#include "tests/orchestrator/text_files.h"

#include <fcntl.h>

#include "orchestrator/line_reader.h"

static void every_line_comes_once_and_whole(void **state)
{
    /* The second line is longer than the first buffer, so that it grows twice. */
    enum { LONG = 150000 };
    char *text = mem_alloc(LONG + 64);
    size_t n = 0;
    struct line_reader *r = NULL;
    struct line line;
    struct err err = {{0}};
    bool found = false;

    n += (size_t)sprintf(text, "first\n");
    memset(text + n, 'x', LONG);
    n += LONG;
    n += (size_t)sprintf(text + n, "\n\nlast");
    char *path = text_files_write_bytes("lines", text, n);
    assert_int_equal(line_reader_open(&r, path, LONG, &err), ST_OK);
    const size_t want[] = {5, LONG, 0, 4};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(line_reader_next(r, &line, &found, &err), ST_OK);
        assert_true(found);
        assert_int_equal(line.number, i + 1);
        assert_int_equal(line.n_bytes, want[i]);
    }
    assert_memory_equal(line.text, "last", 4);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(line_reader_next(r, &line, &found, &err), ST_OK);
        assert_false(found);
    }
    line_reader_close(r);
    free(path);
    free(text);
}

/* One byte more than allowed, with and without a line break behind it. */
static void a_line_over_the_limit_is_refused_with_its_number(void **state)
{
    static const char *const texts[] = {"12345\n123456\n", "12345\n123456", "12345\n1234567890123"};
    for (size_t i = 0; i < 3; i++) {
        char *path = text_files_write("long", texts[i]);
        char *words =
            mem_printf("%s:2: the line has more than 5 bytes, the most that is read", path);
        struct line_reader *r = NULL;
        struct line line;
        struct err err = {{0}};
        bool found = false;
        assert_int_equal(line_reader_open(&r, path, 5, &err), ST_OK);
        assert_int_equal(line_reader_next(r, &line, &found, &err), ST_OK);
        assert_int_equal(line_reader_next(r, &line, &found, &err), ST_INVALID);
        assert_string_equal(err.text, words);
        line_reader_close(r);
        free(words);
        free(path);
    }
}

static void an_empty_file_has_no_line(void **state)
{
    char *path = text_files_write("empty", "");
    struct line_reader *r = NULL;
    struct line line;
    struct err err = {{0}};
    bool found = true;
    assert_int_equal(line_reader_open(&r, path, 5, &err), ST_OK);
    assert_int_equal(line_reader_next(r, &line, &found, &err), ST_OK);
    assert_false(found);
    line_reader_close(r);
    free(path);
}

static void what_is_no_file_is_refused_and_a_pipe_not_waited_for(void **state)
{
    struct line_reader *r = NULL;
    struct err err = {{0}};
    char *pipe = text_files_path("pipe"), *none = text_files_path("none");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(line_reader_open(&r, pipe, 5, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "is no regular file"));
    assert_int_equal(line_reader_open(&r, text_files_dir, 5, &err), ST_INVALID);
    assert_int_equal(line_reader_open(&r, none, 5, &err), ST_NOT_FOUND);
    assert_null(r);
    free(pipe);
    free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_comes_once_and_whole),
        cmocka_unit_test(a_line_over_the_limit_is_refused_with_its_number),
        cmocka_unit_test(an_empty_file_has_no_line),
        cmocka_unit_test(what_is_no_file_is_refused_and_a_pipe_not_waited_for),
    };
    return cmocka_run_group_tests(tests, text_files_make, text_files_drop);
}
