#include "orchestrator/log_tail.h"

#include "tests/test_helpers.h"

static char path[64];

static int make_path(void **state)
{
    strcpy(path, "/tmp/test_log_tail_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    return close(fd);
}

static int drop_path(void **state)
{
    return unlink(path);
}

static void put(const char *text, uint32_t times)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (uint32_t i = 0; i < times; i++)
        fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void expect(uint32_t n_lines, size_t size, const char *wanted)
{
    char buf[LOG_TAIL_BYTES];

    assert_true(size <= sizeof buf);
    log_tail_read(path, n_lines, buf, size);
    assert_string_equal(buf, wanted);
}

static void the_last_lines_are_taken_whole(void **state)
{
    put("one\ntwo\nthree\n", 1);
    expect(1, 100, "three");
    expect(2, 100, "two\nthree");
    expect(8, 100, "one\ntwo\nthree");
    put("one\ntwo", 1); /* still being written */
    expect(2, 100, "one\ntwo");
    assert_string_equal(log_tail_last("one\ntwo"), "two");
    assert_string_equal(log_tail_last("one"), "one");
}

static void what_has_no_room_is_left_out_from_the_front(void **state)
{
    put("one\ntwo\nthree\n", 1);
    expect(8, 10, "two\nthree");
    expect(8, 9, "three");
    expect(8, 4, "thr");
}

static void a_long_log_gives_its_end_only(void **state)
{
    put("0123456789abcdef\n", 4000);
    expect(2, 100, "0123456789abcdef\n0123456789abcdef");
}

static void what_is_no_text_is_made_text(void **state)
{
    put("a\033[31mb\tc\n\xC3\xA4\n\n", 1);
    expect(8, 100, "a [31mb c\n?\?");
}

static void no_log_and_an_empty_one_give_nothing(void **state)
{
    char buf[8] = "x";

    put("", 1);
    expect(8, 100, "");
    put("\n\n", 1);
    expect(8, 100, "");
    log_tail_read("/nonexistent/log", 8, buf, sizeof buf);
    assert_string_equal(buf, "");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_path, drop_path)
    const struct CMUnitTest tests[] = {
        CASE(the_last_lines_are_taken_whole),
        CASE(what_has_no_room_is_left_out_from_the_front),
        CASE(a_long_log_gives_its_end_only),
        CASE(what_is_no_text_is_made_text),
        CASE(no_log_and_an_empty_one_give_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
