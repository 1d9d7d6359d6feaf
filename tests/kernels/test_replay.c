/*
 * Replayed acceptance: the mean that is asked for is the mean that comes, and a
 * draw is a function of seed and position.
 */
#include "tests/test_helpers.h"

#include "kernels/replay.h"

enum { DRAWS = 200000 };

/* The number is floor or ceil, so its deviation is at most 1/2. */
static void the_mean_is_met_within_its_sampling_error(void **state)
{
    static const double means[] = {0.3, 1, 2.5, 5.13, 6.1, 7.15, 7.999};

    for (size_t i = 0; i < sizeof means / sizeof means[0]; i++) {
        double sum = 0;
        for (uint64_t pos = 0; pos < DRAWS; pos++) {
            uint32_t n = replay_accepted(means[i], 5, pos, 8);
            assert_true(n == floor(means[i]) || n == floor(means[i]) + 1);
            sum += n;
        }
        assert_close(sum / DRAWS, means[i], 5 * 0.5 / sqrt(DRAWS));
    }
}

static void no_more_stand_than_are_proposed(void **state)
{
    for (uint32_t n = 0; n < 9; n++)
        for (uint64_t pos = 0; pos < 1000; pos++) {
            assert_true(replay_accepted(4.5, 5, pos, n) <= n);
            assert_int_equal(replay_accepted(n, 5, pos, n), n);
            assert_int_equal(replay_accepted(n + 3.3, 5, pos, n), n);
        }
}

static void the_middle_rate_is_met_within_its_sampling_error(void **state)
{
    static const double rates[] = {0.01, 0.3, 0.77, 1};

    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        double sum = 0;
        for (uint64_t pos = 0; pos < DRAWS; pos++)
            sum += replay_accepts(rates[i], 8, pos);
        assert_close(sum / DRAWS, rates[i], 5 * sqrt(rates[i] * (1 - rates[i]) / DRAWS) + 1e-12);
    }
}

static void a_draw_depends_on_seed_and_position(void **state)
{
    uint32_t by_seed = 0, by_pos = 0;

    for (uint64_t pos = 0; pos < 1000; pos++) {
        uint32_t n = replay_accepted(2.5, 1, pos, 8);
        assert_int_equal(n, replay_accepted(2.5, 1, pos, 8));
        by_seed += n != replay_accepted(2.5, 2, pos, 8);
        by_pos += n != replay_accepted(2.5, 1, pos + 1, 8);
    }
    assert_true(by_seed > 350 && by_seed < 650);
    assert_true(by_pos > 350 && by_pos < 650);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_is_met_within_its_sampling_error),
        cmocka_unit_test(no_more_stand_than_are_proposed),
        cmocka_unit_test(the_middle_rate_is_met_within_its_sampling_error),
        cmocka_unit_test(a_draw_depends_on_seed_and_position),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
