/*
 * Programs of others: found on PATH, heard out, and ended when they do not end.
 */
#include "tests/test_helpers.h"

#include "common/clock.h"
#include "orchestrator/tool_call.h"

static enum status run(struct tool_answer *answer, const char *script, int timeout_s,
                       struct err *err)
{
    const char *const argv[] = {"sh", "-c", script, NULL};

    *answer = (struct tool_answer){0};
    return tool_call(answer, argv, timeout_s, err);
}

static void both_outputs_and_the_exit_status_come_back(void **state)
{
    struct tool_answer a;
    struct err err = {{0}};

    assert_int_equal(run(&a, "echo one; echo two >&2; exit 3", 60, &err), ST_OK);
    assert_string_equal(a.out, "one\n");
    assert_string_equal(a.said, "two\n");
    assert_int_equal(a.exit_status, 3);
    tool_answer_release(&a);
    assert_int_equal(run(&a, "kill -9 $$", 60, &err), ST_OK);
    assert_int_equal(a.exit_status, 128 + 9);
    assert_string_equal(a.out, "");
    tool_answer_release(&a);
}

static void a_long_output_is_whole_and_an_endless_one_is_refused(void **state)
{
    struct tool_answer a;
    struct err err = {{0}};

    assert_int_equal(run(&a, "seq 50000", 60, &err), ST_OK);
    assert_int_equal(strlen(a.out), 288894); /* 9*2 + 90*3 + 900*4 + 9000*5 + 40001*6 */
    tool_answer_release(&a);
    assert_int_equal(run(&a, "yes", 60, &err), ST_IO);
    assert_non_null(strstr(err.text, "sh printed over 1048576 bytes"));
}

static void what_does_not_end_is_ended_with_its_children(void **state)
{
    struct tool_answer a;
    struct err err = {{0}};
    uint64_t begin_ns = clock_now_ns();

    assert_int_equal(run(&a, "sleep 1000 & wait", 1, &err), ST_TIMEOUT);
    assert_non_null(strstr(err.text, "sh: no answer in 1 s"));
    assert_int_equal(run(&a, "exec >&- 2>&-; sleep 1000", 1, &err), ST_TIMEOUT);
    assert_true(clock_seconds_since(begin_ns) < 500);
}

static void a_missing_program_is_named(void **state)
{
    const char *const argv[] = {"no-such-program", NULL};
    struct tool_answer a = {0};
    struct err err = {{0}};

    assert_int_equal(tool_call(&a, argv, 60, &err), ST_NOT_FOUND);
    assert_string_equal(err.text, "there is no program no-such-program on PATH");
}

static void expect_words(const char *script, const char *words)
{
    struct tool_answer a;
    struct err err = {{0}};

    assert_int_equal(run(&a, script, 60, &err), ST_OK);
    assert_int_equal(tool_answer_check(&a, "sh", &err), words != NULL ? ST_IO : ST_OK);
    assert_string_equal(err.text, words != NULL ? words : "");
    tool_answer_release(&a);
}

static void its_last_words_become_the_error(void **state)
{
    expect_words("echo fine; echo warning >&2", NULL);
    expect_words("echo 'sh: error: a' >&2; echo 'sh: error: b' >&2; echo >&2; exit 1",
                 "sh: error: b");
    expect_words("echo on stdout; exit 1", "sh: on stdout");
    expect_words("exit 4", "sh: exit status 4 without a word");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_outputs_and_the_exit_status_come_back),
        cmocka_unit_test(a_long_output_is_whole_and_an_endless_one_is_refused),
        cmocka_unit_test(what_does_not_end_is_ended_with_its_children),
        cmocka_unit_test(a_missing_program_is_named),
        cmocka_unit_test(its_last_words_become_the_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
