/*
 * The command doctor as a user meets it, on the machine at hand: what it says
 * of that machine is not asserted, what it says of a study is.
 */
#include "tests/system/program.h"
#include "tests/test_helpers.h"

static struct program p;
static char demo[512];

static int open_program(void **state)
{
    return program_init(&p) ? 0 : -1;
}

static int close_program(void **state)
{
    program_close(&p);
    return 0;
}

static void expect(const char *more, int status, const char *words)
{
    char arguments[1024];
    int got;

    snprintf(arguments, sizeof arguments, "doctor %s", more);
    got = program_run(&p, arguments);
    if (got != status || strstr(program_output(&p), words) == NULL)
        fail_msg("mspeckv %s: exit %d and \"%s\" were wanted, not %d and:\n%s", arguments, status,
                 words, got, program_output(&p));
}

static void expect_one_screen(void)
{
    uint32_t n_lines = 0;

    for (const char *line = program_output(&p), *end; (end = strchr(line, '\n')) != NULL;
         line = end + 1, n_lines++)
        if (end - line > 80 && strncmp(line, "/", 1) != 0) /* the last line begins with a path */
            fail_msg("over 80 columns: %.*s", (int)(end - line), line);
    assert_true(n_lines <= 24);
}

static void the_machine_alone_is_described_and_measured(void **state)
{
    expect("", 0, "GB/s read by cpu:0 (");
    expect_one_screen();
    assert_non_null(strstr(program_output(&p), "`mspeckv doctor FILE` judges a study"));
    assert_null(strstr(program_output(&p), "problem"));
}

static void a_study_that_can_run_is_ready(void **state)
{
    char words[640];

    snprintf(words, sizeof words, "%s --set arena=memfd", demo);
    expect(words, 0, "quick.yaml is ready to run");
    assert_non_null(strstr(program_output(&p), "trials on"));
    assert_non_null(strstr(program_output(&p), "memfd of"));
    expect_one_screen();
}

static void what_stands_in_the_way_is_said_with_its_remedy(void **state)
{
    char words[640];

    snprintf(words, sizeof words, "%s --set devices.verify=cuda:7", demo);
    expect(words, 1, "quick.yaml is not ready to run: 1 problem");
    assert_non_null(strstr(program_output(&p), "device cuda:7:"));
    assert_non_null(strstr(program_output(&p), "-> --set devices.verify=cpu:0"));
    snprintf(words, sizeof words, "%s --set target=@/none", demo);
    expect(words, 1, "problem  study");
    snprintf(words, sizeof words, "%s --set gamma=99", demo);
    expect(words, 1, "gamma is 99");
    expect_one_screen();
    expect("@/none.yaml", 1, "none.yaml");
}

static void wrong_words_are_a_usage_error(void **state)
{
    expect("--set gamma=3", 2, "--set needs an experiment file");
    expect("--sett", 2, "did you mean --set?");
    expect("a b", 2, "b");
    expect("--help", 0, "usage: mspeckv doctor [FILE]");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_program, close_program)
    const struct CMUnitTest tests[] = {
        CASE(the_machine_alone_is_described_and_measured),
        CASE(a_study_that_can_run_is_ready),
        CASE(what_stands_in_the_way_is_said_with_its_remedy),
        CASE(wrong_words_are_a_usage_error),
    };

    snprintf(demo, sizeof demo, "%s/experiments/demo/quick.yaml", TEST_SOURCE_DIR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
