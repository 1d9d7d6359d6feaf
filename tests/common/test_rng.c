#include "tests/test_helpers.h"

#include "common/rng.h"

enum { N_DRAWS = 200000 };

static void assert_philox(const uint32_t counter[4], const uint32_t key[2],
                          const uint32_t expected[4])
{
    struct rng_block b = rng_philox(counter, key);

    assert_memory_equal(b.word, expected, sizeof b.word);
}

/* Known answers published with Random123 (kat_vectors, philox4x32 10). */
static void test_philox_gives_the_published_known_answers(void **state)
{
    const uint32_t zero[4] = {0, 0, 0, 0};
    const uint32_t ones[4] = {~0u, ~0u, ~0u, ~0u};
    const uint32_t pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    const uint32_t pi_key[2] = {0xa4093822, 0x299f31d0};

    assert_philox(zero, zero, (uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    assert_philox(ones, ones, (uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    assert_philox(pi, pi_key, (uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

/* The layout of key and counter is what a seed means: it may never change. */
static void test_a_draw_is_the_block_of_its_seed_stream_position_and_index(void **state)
{
    const uint32_t counter[4] = {0x55667788, 0x11223344, 9, RNG_VERIFY_ACCEPT};
    const uint32_t key[2] = {0xccddeeff, 0x8899aabb};
    struct rng_block b = rng_philox(counter, key);
    uint64_t word = (uint64_t)b.word[0] << 32 | b.word[1];
    double u = rng_uniform(0x8899aabbccddeeffu, RNG_VERIFY_ACCEPT, 0x1122334455667788u, 9);

    assert_true(u == ldexp((double)(word >> 11), -53));
}

static void test_uniform_draws_fill_the_unit_interval_evenly(void **state)
{
    double sum = 0.0, squares = 0.0;
    int bucket[16] = {0};

    for (int i = 0; i < N_DRAWS; i++) {
        double u = rng_uniform(1, RNG_TARGET, (uint64_t)i, 0);
        assert_true(u >= 0.0 && u < 1.0);
        sum += u;
        squares += u * u;
        bucket[(int)(u * 16)]++;
    }
    /* Five standard errors: sqrt(1/12/n), sqrt(4/45/n), and sqrt(n p q). */
    assert_close(sum / N_DRAWS, 0.5, 5 * sqrt(1.0 / 12 / N_DRAWS));
    assert_close(squares / N_DRAWS, 1.0 / 3, 5 * sqrt(4.0 / 45 / N_DRAWS));
    for (int i = 0; i < 16; i++)
        assert_close(bucket[i], N_DRAWS / 16.0, 5 * sqrt(N_DRAWS * 15.0 / 256));
}

static void test_streams_seeds_positions_and_indices_do_not_agree(void **state)
{
    double u = rng_uniform(5, RNG_DRAFT, 100, 3);

    assert_true(u == rng_uniform(5, RNG_DRAFT, 100, 3));
    assert_true(u != rng_uniform(6, RNG_DRAFT, 100, 3));
    assert_true(u != rng_uniform(5 + (1ull << 32), RNG_DRAFT, 100, 3));
    assert_true(u != rng_uniform(5, RNG_TARGET, 100, 3));
    assert_true(u != rng_uniform(5, RNG_DRAFT, 101, 3));
    assert_true(u != rng_uniform(5, RNG_DRAFT, 100 + (1ull << 32), 3));
    assert_true(u != rng_uniform(5, RNG_DRAFT, 100, 4));
}

static void test_gumbel_noise_has_its_mean_and_variance(void **state)
{
    const double euler = 0.57721566490153286, variance = M_PI * M_PI / 6;
    double sum = 0.0, squares = 0.0;

    for (int i = 0; i < N_DRAWS; i++) {
        double g = rng_gumbel(2, 77, (uint32_t)i);
        assert_true(isfinite(g));
        sum += g;
        squares += (g - euler) * (g - euler);
    }
    assert_close(sum / N_DRAWS, euler, 5 * sqrt(variance / N_DRAWS));
    /* The fourth central moment is 5.4 variance^2, so var of squares is 4.4. */
    assert_close(squares / N_DRAWS, variance, 5 * variance * sqrt(4.4 / N_DRAWS));
}

/* The point of the noise: argmax of log p + noise samples p. */
static void test_the_argmax_of_log_p_plus_noise_is_a_sample_of_p(void **state)
{
    const double p[3] = {0.2, 0.5, 0.3};
    const int n = 30000;
    int count[3] = {0};

    for (int pos = 0; pos < n; pos++) {
        int best = 0;
        double value[3];
        for (int t = 0; t < 3; t++) {
            value[t] = log(p[t]) + rng_gumbel(9, (uint64_t)pos, (uint32_t)t);
            best = value[t] > value[best] ? t : best;
        }
        count[best]++;
    }
    for (int t = 0; t < 3; t++)
        assert_close(count[t], n * p[t], 5 * sqrt(n * p[t] * (1 - p[t])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_gives_the_published_known_answers),
        cmocka_unit_test(test_a_draw_is_the_block_of_its_seed_stream_position_and_index),
        cmocka_unit_test(test_uniform_draws_fill_the_unit_interval_evenly),
        cmocka_unit_test(test_streams_seeds_positions_and_indices_do_not_agree),
        cmocka_unit_test(test_gumbel_noise_has_its_mean_and_variance),
        cmocka_unit_test(test_the_argmax_of_log_p_plus_noise_is_a_sample_of_p),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
