#include "orchestrator/progress.h"
#include "tests/test_helpers.h"

enum { SECOND = 1000000000 };

static struct progress at_start(void)
{
    return (struct progress){
        .n_cells = 20, .begin_ns = 0, .phase_ns = 0, .share = -1, .phase = "prefill, document 1"};
}

static void the_line_says_cell_phase_rate_and_time_left(void **state)
{
    struct progress p = at_start();
    char line[PROGRESS_COLUMNS];

    p.n_done = 4;
    p.tok_per_s = 81.25;
    p.share = 0.42;
    progress_text(&p, 60ull * SECOND, line);
    /* 60 s for 4 cells: 240 s for the other 16. */
    assert_string_equal(line, "cell 5/20: prefill, document 1 42%, 81.2 tok/s, ETA 4m00s");
}

static void before_the_first_cell_there_is_no_eta(void **state)
{
    struct progress p = at_start();
    char line[PROGRESS_COLUMNS];

    progress_text(&p, 3ull * SECOND, line);
    assert_string_equal(line, "cell 1/20: prefill, document 1 3s");
}

static void the_longest_line_fits_80_columns(void **state)
{
    struct progress p = at_start();
    char line[PROGRESS_COLUMNS];

    memset(p.phase, 'x', sizeof p.phase - 1);
    p.n_cells = 20000;
    p.n_done = 19998;
    p.tok_per_s = 123456.7;
    progress_text(&p, 1000000ull * SECOND, line);
    assert_true(strlen(line) < PROGRESS_COLUMNS);
}

static void elsewhere_than_on_a_terminal_only_phases_are_lines(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    struct progress p;

    progress_init(&p, to, false, 2);
    progress_phase(&p, "prefill, %d tokens", 9);
    progress_share(&p, 1, 2);
    progress_draw(&p);
    progress_clear(&p);
    progress_cell_done(&p, NAN);
    progress_phase(&p, "baseline");
    fclose(to);
    assert_string_equal(text, "1/2 prefill, 9 tokens\n2/2 baseline\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_says_cell_phase_rate_and_time_left),
        cmocka_unit_test(before_the_first_cell_there_is_no_eta),
        cmocka_unit_test(the_longest_line_fits_80_columns),
        cmocka_unit_test(elsewhere_than_on_a_terminal_only_phases_are_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
