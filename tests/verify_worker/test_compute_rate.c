/* The rate of products is a rate, and nothing is held afterwards. */
#include "tests/test_helpers.h"

#include <math.h>

#include "verify_worker/compute_rate.h"

static void products_have_a_rate_and_leave_nothing_behind(void **state)
{
    const struct device_options opt = {.n_threads = 1};
    struct device *dev = NULL;
    struct err err = {{0}};
    double gflops = 0;

    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    assert_int_equal(compute_rate_measure(dev, &gflops, &err), ST_OK);
    /* Interpreted products would still reach a million a second; no CPU of one
     * thread reaches ten million million. */
    assert_true(isfinite(gflops) && gflops > 1e-3 && gflops < 1e4);
    assert_int_equal(device_used(dev, DEVICE_SCRATCH), 0);
    device_close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_have_a_rate_and_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
