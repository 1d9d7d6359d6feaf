#include "tests/test_helpers.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/whole_file.h"

static char dir[64], path[96];

static int set_up(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/test_whole_file_XXXXXX");
    snprintf(path, sizeof path, "%s/f", mkdtemp(dir));
    return 0;
}

static int tear_down(void **state)
{
    unlink(path);
    return rmdir(dir); /* fails if anything was left beside the file */
}

static void refused(enum status want, const char *words)
{
    struct err err = {{0}};
    size_t n = 7;
    char *bytes = NULL;

    assert_int_equal(whole_file_read(&bytes, &n, path, 3, &err), want);
    assert_non_null(strstr(err.text, words));
    assert_non_null(strstr(err.text, path));
    assert_null(bytes);
    assert_int_equal(n, 7);
}

static void what_was_written_is_read_byte_for_byte(void **state)
{
    static const char text[] = "a\r\n\0\xFF";
    size_t n = 0;
    char *bytes = NULL;

    for (size_t size = 0; size < sizeof text; size++) {
        assert_int_equal(whole_file_write(path, text, size, NULL), ST_OK);
        assert_int_equal(whole_file_read(&bytes, &n, path, size, NULL), ST_OK);
        assert_int_equal(n, size);
        assert_memory_equal(bytes, text, size);
        assert_int_equal(bytes[n], '\0');
        free(bytes);
    }
}

static void absent_too_long_and_irregular_files_are_refused(void **state)
{
    refused(ST_NOT_FOUND, "No such file");
    assert_int_equal(whole_file_write(path, "1234", 4, NULL), ST_OK);
    refused(ST_INVALID, "more than 3 bytes");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(ST_INVALID, "is no regular file"); /* and does not wait */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(dir, path), 0);
    refused(ST_INVALID, "is no regular file");
}

/* The kernel says that its files have 0 bytes: they look like one that grows
 * while it is read. */
static void a_file_that_grows_is_read_to_its_end_or_its_limit(void **state)
{
    static const char source[] = "/proc/self/smaps";
    struct err err = {{0}};
    size_t n = 0;
    char *bytes = NULL;

    if (access(source, R_OK) != 0)
        skip();
    assert_int_equal(whole_file_read(&bytes, &n, source, 16 << 20, &err), ST_OK);
    assert_true(n > 200);
    assert_int_equal(strlen(bytes), n);
    assert_int_equal(bytes[n - 1], '\n');
    free(bytes);
    assert_int_equal(whole_file_read(&bytes, &n, source, 200, &err), ST_INVALID);
}

static void a_failed_write_leaves_the_old_file_and_nothing_else(void **state)
{
    struct err err = {{0}};
    char temporary[112], *bytes = NULL;
    size_t n = 0;

    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    assert_int_equal(whole_file_write(path, "old", 3, NULL), ST_OK);
    assert_int_equal(mkdir(temporary, 0700), 0);
    assert_int_equal(whole_file_write(path, "new", 3, &err), ST_IO);
    assert_non_null(strstr(err.text, temporary));
    assert_int_equal(rmdir(temporary), 0);
    assert_int_equal(whole_file_read(&bytes, &n, path, 3, NULL), ST_OK);
    assert_string_equal(bytes, "old");
    free(bytes);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read_byte_for_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(absent_too_long_and_irregular_files_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_grows_is_read_to_its_end_or_its_limit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file_and_nothing_else, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
