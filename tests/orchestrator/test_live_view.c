#include "orchestrator/live_view.h"
#include "tests/test_helpers.h"

static const uint64_t SECOND = 1000000000;

static struct run_watch one_place(void)
{
    struct run_watch w = {.name = "quick",
                          .n_trials = 20,
                          .n_done = 4,
                          .n_places = 1,
                          .room = {.total_bytes = 8000000000,
                                   .available_bytes = 6000000000,
                                   .limit_bytes = UINT64_MAX,
                                   .limit_free_bytes = UINT64_MAX}};

    w.place[0] = (struct run_watch_place){
        .work = WATCH_DECODES, .words = "mspeckv, 4096 tokens, seed 1", .share = -1};
    return w;
}

static const struct live_view_size usual = {80, 24};

static const char *text_of(const struct run_watch *w, struct live_view_size size, uint64_t now_ns)
{
    static char text[LIVE_VIEW_BYTES];
    uint32_t n_lines = live_view_text(w, size, now_ns, text), n_found = 0;

    for (const char *c = text; *c != '\0'; c++)
        n_found += *c == '\n';
    assert_int_equal(n_found, n_lines);
    assert_true(n_lines < size.rows || n_lines == 1);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") < size.columns && strcspn(line, "\n") < 80);
    return text;
}

static void it_says_the_matrix_the_memory_and_what_the_place_does(void **state)
{
    struct run_watch w = one_place();

    /* 60 s for 4 trials: 240 s for the other 16. */
    assert_string_equal(text_of(&w, usual, 60 * SECOND),
                        "quick            [#####-------------------] 4/20  ETA 4m00s\n"
                        "memory           [######------------------] 2.0 of 8.0 GB\n"
                        "         mspeckv, 4096 tokens, seed 1 1m00s\n"
                        "         no trial has ended yet\n"
                        "         \n");
}

static void it_says_speed_acceptance_link_arena_and_processes(void **state)
{
    struct run_watch w = one_place();
    const char *text;

    w.n_failed = 1;
    w.place[0].last = (struct run_watch_last){true, 812.34, 6.913, 0.5, 0.2};
    w.place[0].proc[0] =
        (struct proc_sample){.pid = 7, .state = 'S', .cpus = 0, .rss_bytes = 12000000};
    w.place[0].proc[1] =
        (struct proc_sample){.pid = 8, .state = 'R', .cpus = 0.98, .rss_bytes = 410000000};
    w.place[0].proc[2] = (struct proc_sample){.pid = 9, .cpus = -1};
    text = text_of(&w, usual, 60 * SECOND);
    assert_non_null(strstr(text, "4/20  ETA 4m00s  1 failed\n"));
    assert_non_null(strstr(text, "812.3 tok/s  accepted 6.91  link [#####-----]  arena "
                                 "[##--------]\n"));
    assert_non_null(
        strstr(text, "store waits 0% 12 MB  verify busy 98% 410 MB  draft dead 0 MB\n"));
}

static void a_share_stands_in_the_place_of_the_time(void **state)
{
    struct run_watch w = one_place();

    w.place[0].share = 0.42;
    assert_non_null(strstr(text_of(&w, usual, SECOND), "seed 1 42%\n"));
}

static void a_baseline_has_no_acceptance_and_a_run_may_have_no_link(void **state)
{
    struct run_watch w = one_place();

    w.place[0].last = (struct run_watch_last){true, 10, NAN, NAN, NAN};
    assert_non_null(strstr(text_of(&w, usual, SECOND),
                           "10.0 tok/s  accepted -  link none  arena [----------]"));
}

static void before_the_first_trial_there_is_no_time_left(void **state)
{
    struct run_watch w = one_place();

    w.n_done = 0;
    assert_null(strstr(text_of(&w, usual, SECOND), "ETA"));
}

static void a_control_group_limits_the_memory(void **state)
{
    struct run_watch w = one_place();

    w.room.limit_bytes = 4000000000;
    w.room.limit_free_bytes = 1000000000;
    assert_non_null(strstr(text_of(&w, usual, SECOND), "3.0 of 4.0 GB of the control group\n"));
    w.room.limit_bytes = w.room.total_bytes = UINT64_MAX;
    assert_non_null(strstr(text_of(&w, usual, SECOND), "memory           not known\n"));
}

/* The longest of everything, on terminals of every size. */
static void it_fits_every_terminal(void **state)
{
    struct run_watch w = one_place();

    memset(w.name, 'n', sizeof w.name - 1);
    w.n_trials = w.n_failed = 20000;
    w.n_done = 19999;
    w.n_places = EXPERIMENT_MAX_PLACES;
    for (uint32_t i = 0; i < w.n_places; i++) {
        struct run_watch_place *p = &w.place[i];
        memset(p->words, 'w', sizeof p->words - 1);
        p->last = (struct run_watch_last){true, 1e12, 1e6, 7, -3};
        for (int k = 0; k < GROUP_MEMBERS; k++)
            p->proc[k] =
                (struct proc_sample){.pid = 1, .state = 'T', .cpus = 1e9, .rss_bytes = UINT64_MAX};
    }
    for (uint32_t columns = 1; columns < 200; columns += 7)
        for (uint32_t rows = 1; rows < 70; rows++)
            (void)text_of(&w, (struct live_view_size){columns > 1 ? columns : 2, rows},
                          1000000 * SECOND);
    assert_non_null(strstr(text_of(&w, (struct live_view_size){80, 10}, SECOND), "more places\n"));
    assert_non_null(strstr(text_of(&w, (struct live_view_size){80, 70}, SECOND), "place 16 www"));
}

static void what_is_no_letter_cannot_move_the_cursor(void **state)
{
    struct run_watch w = one_place();

    snprintf(w.name, sizeof w.name, "a\033[2Jb\xc3\xa9");
    assert_memory_equal(text_of(&w, usual, SECOND), "a?[2Jb??", 8);
}

/* ---- drawing ---- */

static char *out;
static size_t n_out;

static void draws_in_one_piece_and_leaves_the_cursor_as_it_was(void **state)
{
    struct run_watch w = one_place();
    char *first;

    w.to = open_memstream(&out, &n_out);
    assert_non_null(w.to);
    w.mode = WATCH_VIEW;
    live_view_draw(&w);
    assert_int_equal(w.n_drawn, 5);
    first = strdup(out);
    assert_memory_equal(first, "\033[?25lquick", 11);
    assert_string_equal(first + strlen(first) - 9, "\033[J\033[?25h");
    live_view_draw(&w);
    assert_memory_equal(out + strlen(first), "\033[?25l\r\033[5Aquick", 16);
    live_view_clear(&w);
    assert_string_equal(out + n_out - 8, "\r\033[5A\033[J");
    live_view_clear(&w); /* there is nothing any more */
    assert_string_equal(out + n_out - 8, "\r\033[5A\033[J");
    fclose(w.to);
    free(first);
    free(out);
}

/* ---- processes ---- */

static void a_process_is_read_between_its_brackets(void **state)
{
    /* Fields of proc(5): a name with a bracket, then state, ..., utime 200 and stime 100 ticks,
     * ..., rss 5 pages. */
    static const char first[] = "7 (a) b) R 1 1 1 0 -1 0 0 0 0 0 200 100 0 0 20 0 1 0 9 100 5 0";
    static const char second[] = "7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 250 150 0 0 20 0 1 0 9 100 6 0";
    struct proc_sample s = {.pid = 0};
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);

    proc_sample_read(&s, 7, first, SECOND);
    assert_int_equal(s.state, 'R');
    assert_string_equal(proc_sample_word(&s), "busy");
    assert_true(s.cpus < 0);
    assert_int_equal(s.rss_bytes, 5 * sysconf(_SC_PAGESIZE));
    proc_sample_read(&s, 7, second, 3 * SECOND);
    assert_string_equal(proc_sample_word(&s), "waits");
    assert_close(s.cpus, 100 * tick / 2, 1e-9);
    proc_sample_read(&s, 7, NULL, 4 * SECOND);
    assert_string_equal(proc_sample_word(&s), "dead");
    proc_sample_read(&s, 7, "7 (a", 5 * SECOND);
    assert_string_equal(proc_sample_word(&s), "dead");
    proc_sample_take(&s, getpid(), 6 * SECOND);
    assert_string_equal(proc_sample_word(&s), "busy"); /* it reads itself */
    assert_true(s.rss_bytes > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_the_matrix_the_memory_and_what_the_place_does),
        cmocka_unit_test(it_says_speed_acceptance_link_arena_and_processes),
        cmocka_unit_test(a_share_stands_in_the_place_of_the_time),
        cmocka_unit_test(a_baseline_has_no_acceptance_and_a_run_may_have_no_link),
        cmocka_unit_test(before_the_first_trial_there_is_no_time_left),
        cmocka_unit_test(a_control_group_limits_the_memory),
        cmocka_unit_test(it_fits_every_terminal),
        cmocka_unit_test(what_is_no_letter_cannot_move_the_cursor),
        cmocka_unit_test(draws_in_one_piece_and_leaves_the_cursor_as_it_was),
        cmocka_unit_test(a_process_is_read_between_its_brackets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
