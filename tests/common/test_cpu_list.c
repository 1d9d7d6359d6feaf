#include "common/cpu_list.h"
#include "common/proc.h"
#include "tests/test_helpers.h"

static void check_text(const char *text, uint32_t n, const char *again)
{
    struct cpu_list list;
    struct err err = {{0}};
    char buf[CPU_LIST_TEXT];

    if (cpu_list_parse(&list, text, &err) != ST_OK)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(cpu_list_count(&list), n);
    cpu_list_text(&list, buf);
    assert_string_equal(buf, again);
}

static void sets_are_read_and_written_in_the_shortest_form(void **state)
{
    check_text("0", 1, "0");
    check_text("0-3", 4, "0-3");
    check_text("8,0-3", 5, "0-3,8");
    check_text("1,2,3", 3, "1-3");
    check_text("1023", 1, "1023");
    check_text("0-1023", 1024, "0-1023");
}

static void what_is_no_set_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",  ",",   "0,",  "0-",    "3-1",  "-1",    "1024", "0 1",
        "a", "0x1", "1,1", "0-3,2", "0--1", "00000", "0;1",  "99999999999999999999"};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct cpu_list list;
        struct err err = {{0}};
        if (cpu_list_parse(&list, wrong[i], &err) != ST_INVALID || err.text[0] == '\0')
            fail_msg("\"%s\" was taken", wrong[i]);
    }
}

static void a_text_that_is_too_long_ends_in_dots(void **state)
{
    struct cpu_list list = {0};
    char buf[CPU_LIST_TEXT];

    for (size_t cpu = 0; cpu < CPU_LIST_MAX; cpu += 2)
        CPU_SET(cpu, &list.set);
    cpu_list_text(&list, buf);
    assert_true(strlen(buf) < CPU_LIST_TEXT);
    assert_string_equal(buf + strlen(buf) - 3, "...");
}

static void sets_overlap_where_they_share_a_cpu(void **state)
{
    struct cpu_list a, b, c;

    assert_int_equal(cpu_list_parse(&a, "0-3", NULL), ST_OK);
    assert_int_equal(cpu_list_parse(&b, "4-7", NULL), ST_OK);
    assert_int_equal(cpu_list_parse(&c, "3,9", NULL), ST_OK);
    assert_false(cpu_list_overlaps(&a, &b));
    assert_true(cpu_list_overlaps(&a, &c));
    assert_int_equal(cpu_list_first_missing(&c, &a), 9);
    assert_int_equal(cpu_list_first_missing(&a, &a), -1);
}

/* The program of the child asks the kernel itself. */
static void a_child_runs_on_the_cpus_it_was_given(void **state)
{
    char *const argv[] = {(char *)(uintptr_t) "/bin/sleep", (char *)(uintptr_t) "60", NULL};
    struct cpu_list mine, one = {0}, seen;
    struct err err = {{0}};
    struct proc p;
    size_t last = 0;

    assert_int_equal(cpu_list_of_process(&mine, 0, &err), ST_OK);
    for (size_t cpu = 0; cpu < CPU_LIST_MAX; cpu++)
        last = CPU_ISSET(cpu, &mine.set) ? cpu : last;
    CPU_SET(last, &one.set);
    if (proc_spawn_on(&p, "sleep", argv, NULL, &one, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(cpu_list_of_process(&seen, p.pid, &err), ST_OK);
    assert_true(CPU_EQUAL(&seen.set, &one.set));
    proc_stop(&p, 1000);

    assert_int_equal(proc_spawn_on(&p, "sleep", argv, NULL, NULL, &err), ST_OK);
    assert_int_equal(cpu_list_of_process(&seen, p.pid, &err), ST_OK);
    assert_true(CPU_EQUAL(&seen.set, &mine.set));
    proc_stop(&p, 1000);
}

static void a_child_without_a_usable_cpu_is_no_child(void **state)
{
    char *const argv[] = {(char *)(uintptr_t) "/bin/true", NULL};
    struct cpu_list none = {0};
    struct err err = {{0}};
    struct proc p;

    CPU_SET(CPU_LIST_MAX - 1, &none.set); /* no machine of the project has so many */
    assert_int_equal(proc_spawn_on(&p, "true", argv, NULL, &none, &err), ST_IO);
    assert_non_null(strstr(err.text, "Invalid argument"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_read_and_written_in_the_shortest_form),
        cmocka_unit_test(what_is_no_set_is_refused),
        cmocka_unit_test(a_text_that_is_too_long_ends_in_dots),
        cmocka_unit_test(sets_overlap_where_they_share_a_cpu),
        cmocka_unit_test(a_child_runs_on_the_cpus_it_was_given),
        cmocka_unit_test(a_child_without_a_usable_cpu_is_no_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
