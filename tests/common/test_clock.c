#include "tests/test_helpers.h"

#include "common/clock.h"

static void test_time_never_goes_back(void **state)
{
    uint64_t last = clock_now_ns();

    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_now_ns();
        assert_true(now >= last);
        last = now;
    }
}

static void test_a_sleep_ends_at_its_time_and_not_before(void **state)
{
    uint64_t start = clock_now_ns();
    uint64_t when = start + 20 * 1000000u;

    clock_sleep_until(when);
    assert_true(clock_now_ns() >= when);
    assert_true(clock_seconds_since(start) >= 0.020);
    assert_true(clock_seconds_since(start) < 60.0);
}

static void test_a_sleep_until_the_past_returns_at_once(void **state)
{
    uint64_t start = clock_now_ns();

    clock_sleep_until(start - 1000000000u);
    clock_sleep_until(0);
    assert_true(clock_seconds_since(start) < 60.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_never_goes_back),
        cmocka_unit_test(test_a_sleep_ends_at_its_time_and_not_before),
        cmocka_unit_test(test_a_sleep_until_the_past_returns_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
