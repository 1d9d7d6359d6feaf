/* Frequencies worked out by hand, angles formed in f32, tables that grow. */
#include "model/rope_tables.h"
#include "tests/test_helpers.h"

static struct model_config config_of(enum rope_kind kind, double factor)
{
    struct model_config cfg = {.head_dim = 128, .rope_theta = 10000.0, .rope_factor = factor};

    cfg.rope = kind;
    return cfg;
}

static void frequencies_fall_from_one_by_powers_of_theta(void **state)
{
    struct model_config cfg = config_of(ROPE_DEFAULT, 1.0);
    float inv[64];

    rope_tables_inv_freq(&cfg, inv);
    assert_true(inv[0] == 1.0f);
    assert_close(inv[16], 0.1, 1e-8); /* 10000^(-1/4) */
    assert_close(inv[20], 0.0562341325, 1e-9);
    assert_close(inv[32], 0.01, 1e-9); /* 10000^(-1/2) */
    assert_close(inv[63] * 1e4, 1.15478198, 1e-6);
}

static void linear_scaling_divides_every_frequency(void **state)
{
    struct model_config cfg = config_of(ROPE_LINEAR, 4.0);
    float inv[64];

    rope_tables_inv_freq(&cfg, inv);
    assert_true(inv[0] == 0.25f);
    assert_close(inv[16], 0.025, 1e-9);
}

static void tables_hold_cosine_and_sine_of_the_f32_angle(void **state)
{
    static const uint32_t positions[] = {0, 1, 4095, 4096, 9999};
    struct model_config cfg = config_of(ROPE_LINEAR, 3.0);
    struct device_options opt = {.n_threads = 1};
    struct rope_tables tables = {0};
    struct device *dev = NULL;
    struct err err = {{0}};
    float inv[64];

    rope_tables_inv_freq(&cfg, inv);
    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    assert_int_equal(rope_tables_grow(&tables, dev, &cfg, 5, &err), ST_OK);
    assert_int_equal(tables.n_positions, 5);
    assert_int_equal(rope_tables_grow(&tables, dev, &cfg, 10000, &err), ST_OK);
    assert_int_equal(rope_tables_grow(&tables, dev, &cfg, 7, &err), ST_OK);
    assert_int_equal(tables.n_positions, 10000);
    assert_int_equal(device_used(dev, DEVICE_SCRATCH), 2 * 10000 * 64 * sizeof(float));
    for (size_t p = 0; p < sizeof positions / sizeof positions[0]; p++) {
        for (uint32_t i = 0; i < 64; i++) {
            float angle = (float)positions[p] * inv[i];
            float c[1], s[1];
            size_t at = (size_t)positions[p] * 64 + i;
            assert_int_equal(device_download(dev, c, tables.cos + at, sizeof c, &err), ST_OK);
            assert_int_equal(device_download(dev, s, tables.sin + at, sizeof s, &err), ST_OK);
            assert_close(c[0], cos(angle), 6e-8); /* half a unit of an f32 below 1 */
            assert_close(s[0], sin(angle), 6e-8);
        }
    }
    assert_int_equal(rope_tables_grow(&tables, dev, &cfg, UINT32_MAX, &err), ST_INVALID);
    assert_int_equal(tables.n_positions, 10000);
    rope_tables_release(&tables, dev);
    assert_int_equal(device_used(dev, DEVICE_SCRATCH), 0);
    device_close(dev);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_fall_from_one_by_powers_of_theta),
        cmocka_unit_test(linear_scaling_divides_every_frequency),
        cmocka_unit_test(tables_hold_cosine_and_sine_of_the_f32_angle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
