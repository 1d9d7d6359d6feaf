#include "tests/test_helpers.h"

#include "common/stats.h"

static void test_mean_std_and_median_match_numbers_worked_out_by_hand(void **state)
{
    double x[] = {4.0, 1.0, 3.0, 2.0};

    assert_close(stats_mean(x, 4), 2.5, 0);
    /* squares of -1.5, -0.5, 0.5, 1.5 sum to 5; over n - 1 = 3 */
    assert_close(stats_sample_std(x, 4), sqrt(5.0 / 3.0), 1e-15);
    assert_close(stats_median(x, 4), 2.5, 0);
    assert_close(stats_median(x, 3), 2.0, 0); /* sorted by the call before: 1 2 3 */
}

static void test_a_large_common_offset_does_not_disturb_the_deviation(void **state)
{
    const double x[] = {1e9 + 1, 1e9 + 2, 1e9 + 3};

    assert_close(stats_sample_std(x, 3), 1.0, 1e-6);
}

static void test_one_value_has_no_deviation_and_none_has_no_mean(void **state)
{
    double x[] = {7.0};

    assert_close(stats_sample_std(x, 1), 0.0, 0);
    assert_close(stats_median(x, 1), 7.0, 0);
    assert_true(isnan(stats_mean(x, 0)));
    assert_true(isnan(stats_median(x, 0)));
    assert_close(stats_sample_std(x, 0), 0.0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mean_std_and_median_match_numbers_worked_out_by_hand),
        cmocka_unit_test(test_a_large_common_offset_does_not_disturb_the_deviation),
        cmocka_unit_test(test_one_value_has_no_deviation_and_none_has_no_mean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
