/* The page that is served: what Prometheus' own checker says of it, and that a
 * count reaches its own line and no other. */
#include "tests/metrics/scrape.h"

#include <ctype.h>

#include "metrics/metric.h"

static const enum metric_process all[] = {METRIC_STORE, METRIC_VERIFY, METRIC_DRAFT, METRIC_RUN};

static void what_is_off_counts_nothing(void **state)
{
    char *page;

    metric_is_on = false;
    metric_add(METRIC_VERIFY_ROUNDS, 7);
    metric_set(METRIC_STORE_LEASES, 7);
    page = metric_page(METRIC_VERIFY);
    assert_close(scrape_value(page, "mspeckv_verify_rounds_total"), 0, 0);
    free(page);
    page = metric_page(METRIC_STORE);
    assert_close(scrape_value(page, "mspeckv_store_leases"), 0, 0);
    free(page);
}

static void a_count_reaches_its_own_line_only(void **state)
{
    char *before, *after;
    const char *a, *b;
    uint32_t n_different = 0;

    metric_is_on = true;
    before = metric_page(METRIC_VERIFY);
    metric_add(METRIC_VERIFY_ACCEPTED, 5);
    metric_add(METRIC_VERIFY_ACCEPTED, 37);
    after = metric_page(METRIC_VERIFY);
    assert_close(scrape_value(after, "mspeckv_verify_accepted_tokens_total"), 42, 0);
    for (a = before, b = after; *a != '\0' && *b != '\0';) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        n_different += n != m || memcmp(a, b, n) != 0;
        a += n + 1;
        b += m + 1;
    }
    assert_int_equal(n_different, 1);
    free(before);
    free(after);
}

static void times_stand_in_seconds(void **state)
{
    char *page;

    metric_is_on = true;
    metric_add(METRIC_DRAFT_DRAFT_TIME, 1500000000);
    metric_add_seconds(METRIC_DRAFT_DRAFT_TIME, 0.25);
    metric_add_seconds(METRIC_DRAFT_DRAFT_TIME, -1);
    metric_add_seconds(METRIC_DRAFT_DRAFT_TIME, NAN);
    page = metric_page(METRIC_DRAFT);
    assert_non_null(strstr(page, "mspeckv_draft_draft_seconds_total 1.750000000\n"));
    free(page);
}

static void every_line_is_a_help_a_type_or_a_number_of_this_process(void **state)
{
    static const char *const prefix[] = {"mspeckv_store_", "mspeckv_verify_", "mspeckv_draft_",
                                         "mspeckv_run_"};
    uint32_t n_values = 0;

    for (int p = 0; p < 4; p++) {
        char *page = metric_page(all[p]);
        int turn = 0;
        for (char *line = strtok(page, "\n"); line != NULL; line = strtok(NULL, "\n")) {
            static const char *const begins[] = {"# HELP ", "# TYPE ", ""};
            size_t n = strlen(begins[turn]);
            assert_int_equal(strncmp(line, begins[turn], n), 0);
            assert_int_equal(strncmp(line + n, prefix[p], strlen(prefix[p])), 0);
            if (turn == 2)
                assert_true(isdigit((unsigned char)line[strcspn(line, " ") + 1]));
            n_values += turn == 2;
            turn = (turn + 1) % 3;
        }
        assert_int_equal(turn, 0);
        free(page);
    }
    assert_int_equal(n_values, METRIC_COUNT);
}

/* FORMATS.md lists every metric by its name; CI holds the two together here. */
static void the_formats_list_every_metric(void **state)
{
    FILE *f = fopen(TEST_SOURCE_DIR "/FORMATS.md", "r");
    char *formats = calloc(1, 1 << 20);

    assert_non_null(f);
    assert_true(fread(formats, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    for (int p = 0; p < 4; p++) {
        char *page = metric_page(all[p]);
        for (char *line = strtok(page, "\n"); line != NULL; line = strtok(NULL, "\n")) {
            char name[96];
            if (line[0] == '#')
                continue;
            snprintf(name, sizeof name, "`%.*s`", (int)strcspn(line, " "), line);
            if (strstr(formats, name) == NULL)
                fail_msg("FORMATS.md does not list %s", name);
        }
        free(page);
    }
    free(formats);
}

static void promtool_accepts_every_page(void **state)
{
    if (system("command -v promtool >/dev/null 2>&1") != 0) {
        print_message("no promtool on this machine: not checked\n");
        skip();
    }
    for (int p = 0; p < 4; p++) {
        char *page = metric_page(all[p]);
        FILE *tool = popen("promtool check metrics", "w");
        assert_non_null(tool);
        assert_true(fputs(page, tool) >= 0);
        assert_int_equal(pclose(tool), 0);
        free(page);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_off_counts_nothing),
        cmocka_unit_test(a_count_reaches_its_own_line_only),
        cmocka_unit_test(times_stand_in_seconds),
        cmocka_unit_test(every_line_is_a_help_a_type_or_a_number_of_this_process),
        cmocka_unit_test(the_formats_list_every_metric),
        cmocka_unit_test(promtool_accepts_every_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
