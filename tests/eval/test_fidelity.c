#include "tests/test_helpers.h"
#include "tools/eval/fidelity.h"

static struct fidelity_row compare(const float *ref, const float *other, uint32_t n,
                                   uint32_t target)
{
    struct fidelity_row row = {0};
    struct err err = {{0}};

    assert_int_equal(fidelity_compare(&row, ref, other, n, target, &err), ST_OK);
    return row;
}

/* p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): KL = 1/2 ln 2 + 1/4 ln 1/2. */
static void a_row_is_what_a_hand_computes(void **state)
{
    const float p[3] = {logf(0.5f), logf(0.25f), logf(0.25f)};
    const float q[3] = {logf(0.25f) + 7, logf(0.5f) + 7, logf(0.25f) + 7}; /* a shift is nothing */
    struct fidelity_row row = compare(p, q, 3, 1);

    assert_close(row.nll_ref, 2 * log(2), 1e-6);
    assert_close(row.nll, log(2), 1e-6);
    assert_close(row.kl, 0.25 * log(2), 1e-6);
    assert_false(row.same_top);
    row = compare(q, p, 3, 2);
    assert_close(row.kl, 0.25 * log(2), 1e-6);
    assert_close(row.nll, 2 * log(2), 1e-6);
}

static void equal_logits_are_at_no_distance(void **state)
{
    float x[200];

    for (int i = 0; i < 200; i++)
        x[i] = sinf((float)i) * 20;
    struct fidelity_row row = compare(x, x, 200, 17);
    assert_true(row.kl == 0.0 && row.same_top);
    assert_true(row.nll == row.nll_ref);
}

/* Of two equal logits the lower id is on top, in both. */
static void a_tie_goes_to_the_lower_token(void **state)
{
    const float tie[3] = {1, 3, 3}, second[3] = {1, 3, 4}, first[3] = {1, 4, 3};

    assert_false(compare(tie, second, 3, 0).same_top);
    assert_true(compare(tie, first, 3, 0).same_top);
}

/* KL of a logit moved by e, to second order: e^2 / 2 * p (1 - p). */
static void a_tiny_divergence_does_not_drown_in_rounding(void **state)
{
    float p[4] = {0, 0, 0, 0}, q[4] = {0x1p-16f, 0, 0, 0};
    double want = 0x1p-33 * 0.25 * 0.75;

    assert_close(compare(p, q, 4, 0).kl, want, want * 1e-4);
}

static void far_apart_logits_stay_finite(void **state)
{
    const float p[2] = {2000, -2000}, q[2] = {-2000, 2000};
    struct fidelity_row row = compare(p, q, 2, 1);

    assert_close(row.kl, 4000, 1e-9);
    assert_close(row.nll_ref, 4000, 1e-9);
    assert_close(row.nll, 0, 1e-9);
}

static void logits_that_are_not_numbers_are_refused(void **state)
{
    const float good[2] = {0, 1}, bad[3][2] = {{NAN, 0}, {0, INFINITY}, {-INFINITY, 0}};
    struct fidelity_row row;
    struct err err = {{0}};

    for (int i = 0; i < 3; i++) {
        assert_int_equal(fidelity_compare(&row, good, bad[i], 2, 0, &err), ST_CORRUPT);
        assert_int_equal(fidelity_compare(&row, bad[i], good, 2, 0, &err), ST_CORRUPT);
    }
    assert_non_null(strstr(err.text, "not a finite number"));
}

static void a_quantile_is_the_nearest_rank(void **state)
{
    double x[200], one[1] = {5};

    for (int i = 0; i < 200; i++)
        x[i] = (i * 37) % 200 + 1; /* 1 .. 200, shuffled */
    assert_close(fidelity_quantile(x, 200, 0.99), 198, 0);
    assert_close(fidelity_quantile(x, 200, 1), 200, 0);
    assert_close(fidelity_quantile(x, 200, 0.001), 1, 0);
    assert_close(fidelity_quantile(x, 3, 0.5), 2, 0);
    assert_close(fidelity_quantile(one, 1, 0.99), 5, 0);
    assert_true(isnan(fidelity_quantile(x, 0, 0.99)));
}

/* Two runs of five in batches of two: (1 3) (5 7 9) (2 2) (4 4 13). Means 2, 7,
 * 2, 7 and 5 of all; weights 0.2 and 0.3:
 * 4/3 * ((0.2 * -3)^2 + (0.3 * 2)^2 + (0.2 * -3)^2 + (0.3 * 2)^2) = 1.92 */
static void batch_means_are_what_a_hand_computes(void **state)
{
    const double x[10] = {1, 3, 5, 7, 9, 2, 2, 4, 4, 13};
    struct fidelity_mean m = fidelity_batch_means(x, 2, 5, 2);

    assert_int_equal(fidelity_batches(5, 2), 2);
    assert_close(m.mean, 5, 1e-12);
    assert_close(m.error, sqrt(1.92), 1e-12);
}

/* Equal batches: the sample deviation of their means over sqrt(k). */
static void equal_batches_give_the_textbook_error(void **state)
{
    const double x[6] = {0, 2, 3, 5, 5, 9}; /* means 1, 4, 7 */
    struct fidelity_mean m = fidelity_batch_means(x, 1, 6, 2);

    assert_close(m.error, 3 / sqrt(3), 1e-12);
    /* Values that repeat within a batch say no more than one of them. */
    const double twice[6] = {1, 1, 4, 4, 7, 7}, once[3] = {1, 4, 7};
    assert_close(fidelity_batch_means(twice, 1, 6, 2).error,
                 fidelity_batch_means(once, 1, 3, 1).error, 1e-12);
}

static void one_batch_has_no_error_to_tell(void **state)
{
    const double x[3] = {1, 2, 6};

    assert_close(fidelity_batch_means(x, 1, 3, 128).mean, 3, 1e-12);
    assert_true(isnan(fidelity_batch_means(x, 1, 3, 128).error));
    assert_true(isnan(fidelity_batch_means(x, 0, 3, 128).mean));
    assert_false(isnan(fidelity_batch_means(x, 3, 1, 128).error)); /* each run is a batch */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_what_a_hand_computes),
        cmocka_unit_test(equal_logits_are_at_no_distance),
        cmocka_unit_test(a_tie_goes_to_the_lower_token),
        cmocka_unit_test(a_tiny_divergence_does_not_drown_in_rounding),
        cmocka_unit_test(far_apart_logits_stay_finite),
        cmocka_unit_test(logits_that_are_not_numbers_are_refused),
        cmocka_unit_test(a_quantile_is_the_nearest_rank),
        cmocka_unit_test(batch_means_are_what_a_hand_computes),
        cmocka_unit_test(equal_batches_give_the_textbook_error),
        cmocka_unit_test(one_batch_has_no_error_to_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
