#include "tests/test_helpers.h"

#include <fcntl.h>

#include "common/log.h"
#include "common/status.h"

static void words_go_in_front_and_the_status_is_handed_on(void **state)
{
    struct err err = {{0}};

    assert_int_equal(err_set(&err, ST_IO, "open %s", "x"), ST_IO);
    assert_int_equal(err_in(&err, ST_STALE, "layer %d", 3), ST_STALE);
    assert_string_equal(err.text, "layer 3: open x");
    err = (struct err){{0}};
    assert_int_equal(err_in(&err, ST_NO_SPACE, "there"), ST_NO_SPACE);
    assert_string_equal(err.text, "there: out of pages or device memory");
    assert_int_equal(err_set(NULL, ST_IO, "x"), ST_IO);
    assert_int_equal(err_in(NULL, ST_IO, "x"), ST_IO);
}

static void foreign_words_stay_on_one_line(void **state)
{
    struct err err = {{0}};

    err_set(&err, ST_CORRUPT, "type '%s'", "a\nb\033[2J\177 \xC3\xA9");
    assert_string_equal(err.text, "type 'a?b?[2J? \xC3\xA9'");
    err_in(&err, ST_CORRUPT, "%s", "dir\nname");
    assert_string_equal(err.text, "dir?name: type 'a?b?[2J? \xC3\xA9'");
}

static void long_words_are_cut_and_end(void **state)
{
    struct err err = {{0}};
    char longer[sizeof err.text + 9];

    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    err_set(&err, ST_IO, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_in(&err, ST_IO, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void every_status_has_words(void **state)
{
    for (int st = 0; st < ST_COUNT; st++)
        assert_true(strlen(status_words((enum status)st)) > 1);
    assert_string_equal(status_words(ST_COUNT), "unknown status");
}

/* Lines of every length around the room for one, with what would break them. */
static void a_log_line_is_one_line_whatever_is_in_it(void **state)
{
    char path[] = "/tmp/test_status_XXXXXX", words[1400], text[4096];
    int fd = mkstemp(path);
    ssize_t n;

    assert_true(fd >= 0);
    assert_int_equal(log_open("test", path, LOG_INFO, NULL), ST_OK);
    for (size_t length = 940; length < 980; length++) {
        memset(words, 'w', sizeof words);
        words[2] = '\n';
        words[length] = '\0';
        assert_int_equal(ftruncate(fd, 0), 0);
        log_info(LOG_RUN, "%s", words);
        n = pread(fd, text, sizeof text - 1, 0);
        assert_true(n > 0);
        text[n] = '\0';
        assert_ptr_equal(strchr(text, '\n'), text + n - 1);
        assert_non_null(strstr(text, " info test["));
        assert_non_null(strstr(text, "] run ww?www"));
    }
    log_debug(LOG_RUN, "not at this level");
    assert_int_equal(pread(fd, text, sizeof text, 0), n);
    log_close();
    close(fd);
    unlink(path);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_go_in_front_and_the_status_is_handed_on),
        cmocka_unit_test(foreign_words_stay_on_one_line),
        cmocka_unit_test(long_words_are_cut_and_end),
        cmocka_unit_test(every_status_has_words),
        cmocka_unit_test(a_log_line_is_one_line_whatever_is_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
