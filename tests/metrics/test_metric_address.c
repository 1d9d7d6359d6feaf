#include "tests/test_helpers.h"

#include "metrics/metric_address.h"

static void the_forms_are_read_and_written_back(void **state)
{
    static const struct {
        const char *text, *host, *back;
        uint16_t port;
    } good[] = {
        {"127.0.0.1:9400", "127.0.0.1", "127.0.0.1:9400", 9400},
        {"localhost:0", "localhost", "localhost:0", 0},
        {"9400", "127.0.0.1", "127.0.0.1:9400", 9400},
        {":65535", "127.0.0.1", "127.0.0.1:65535", 65535},
        {"[::1]:80", "::1", "[::1]:80", 80},
        {"0.0.0.0:1", "0.0.0.0", "0.0.0.0:1", 1},
    };

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct metric_address a;
        struct err err = {{0}};
        char back[METRIC_ADDRESS_BYTES];
        if (metric_address_parse(&a, good[i].text, &err) != ST_OK)
            fail_msg("%s", err.text);
        assert_string_equal(a.host, good[i].host);
        assert_int_equal(a.port, good[i].port);
        metric_address_text(&a, back);
        assert_string_equal(back, good[i].back);
    }
}

static void what_is_no_address_is_refused_in_one_line(void **state)
{
    static const char *const bad[] = {"",        "x",       ":",        "host:",   "host:65536",
                                      "host:-1", "::1:80",  "[]:80",    "host:8x", "1:2:3",
                                      "host: 8", "[::1]80", "host:0x50"};
    char longest[400];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct metric_address a;
        struct err err = {{0}};
        assert_int_equal(metric_address_parse(&a, bad[i], &err), ST_INVALID);
        assert_non_null(strstr(err.text, "127.0.0.1:9400"));
        assert_null(strchr(err.text, '\n'));
    }
    memset(longest, 'h', sizeof longest);
    memcpy(longest + sizeof longest - 4, ":80", 4);
    struct metric_address a;
    struct err err = {{0}};
    assert_int_equal(metric_address_parse(&a, longest, &err), ST_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_forms_are_read_and_written_back),
        cmocka_unit_test(what_is_no_address_is_refused_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
