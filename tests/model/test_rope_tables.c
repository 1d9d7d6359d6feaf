/* Frequencies worked out by hand, angles formed in f32, tables that grow. */
#include "model/rope_tables.h"
#include "tests/test_helpers.h"

static struct model_config config_of(enum rope_kind kind, double factor)
{
    return (struct model_config){
        .head_dim = 128,
        .rope = {.kind = kind, .theta = 10000.0, .factor = factor, .attention_factor = 1.0}};
}

/* Relative: a few steps, each rounded to f32 (6e-8). */
static void check_inv(const float *inv, uint32_t i, double want)
{
    assert_close(inv[i] / want, 1.0, 6e-7);
}

static void frequencies_fall_from_one_by_powers_of_theta(void **state)
{
    struct model_config cfg = config_of(ROPE_DEFAULT, 1.0);
    float inv[64];

    rope_tables_inv_freq(&cfg, inv);
    assert_true(inv[0] == 1.0f);
    assert_close(inv[16], 0.1, 1e-8);          /* 10000^(-1/4) */
    assert_close(inv[20], 0.0562341325, 4e-9); /* an f32 has steps of 3.7e-9 there */
    assert_close(inv[32], 0.01, 1e-9);         /* 10000^(-1/2) */
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

static void a_dynamic_rotation_is_the_unscaled_one(void **state)
{
    struct model_config plain = config_of(ROPE_DEFAULT, 1.0), cfg = config_of(ROPE_DYNAMIC, 4.0);
    float want[64], inv[64];

    rope_tables_inv_freq(&plain, want);
    rope_tables_inv_freq(&cfg, inv);
    assert_memory_equal(want, inv, sizeof inv);
}

/* Values of Yarn-Llama-2-7b-128k: the ramp lies between 20 and 46. */
static void yarn_goes_from_the_frequency_to_its_32nd_part(void **state)
{
    struct model_config cfg = config_of(ROPE_YARN, 32.0);
    float inv[64];

    cfg.rope.original = 4096;
    cfg.rope.beta_fast = 32;
    cfg.rope.beta_slow = 1;
    cfg.rope.truncate = true;
    rope_tables_inv_freq(&cfg, inv);
    assert_true(inv[0] == 1.0f);
    check_inv(inv, 20, 0.0562341325);
    check_inv(inv, 21, 0.0468823302);
    check_inv(inv, 32, 0.00552884615);
    check_inv(inv, 45, pow(10000.0, -45.0 / 64) * (1.0 / 26 + 25.0 / 26 / 32));
    check_inv(inv, 46, 4.16725448e-05);
    check_inv(inv, 47, 3.6086937e-05);
    check_inv(inv, 63, 3.6086937e-06);
    /* Not rounded, the ramp lies between 20.944 and 45.027: m of 32 is 1 - 11.056 / 24.083. */
    cfg.rope.truncate = false;
    rope_tables_inv_freq(&cfg, inv);
    assert_close(inv[32], 0.01 * (0.54092 + 0.45908 / 32), 1e-7);
    check_inv(inv, 46, 4.16725448e-05);
    /* Both ends in one place: a step. */
    cfg.rope.original = 6.2831853071795862;
    rope_tables_inv_freq(&cfg, inv);
    assert_true(inv[0] == 1.0f);
    check_inv(inv, 1, pow(10000.0, -1.0 / 64) / 32);
}

/* Values of Llama-3.1. */
static void llama3_keeps_short_waves_and_divides_long_ones(void **state)
{
    struct model_config cfg = config_of(ROPE_LLAMA3, 8.0);
    float inv[64];

    cfg.rope.theta = 500000.0;
    cfg.rope.original = 8192;
    cfg.rope.low_freq = 1;
    cfg.rope.high_freq = 4;
    rope_tables_inv_freq(&cfg, inv);
    assert_true(inv[0] == 1.0f);
    check_inv(inv, 28, 0.00321144599);
    check_inv(inv, 29, 0.00216657076);
    check_inv(inv, 34, 0.000178507813);
    check_inv(inv, 35, 9.55621235e-05);
    check_inv(inv, 63, 3.06892599e-07);
}

static void the_attention_factor_multiplies_cosine_and_sine(void **state)
{
    struct model_config cfg = config_of(ROPE_LINEAR, 2.0);
    struct device_options opt = {.n_threads = 1};
    struct rope_tables tables = {0};
    struct device *dev = NULL;
    struct err err = {{0}};
    float c[64], s[64];

    cfg.rope.attention_factor = 1.5;
    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    assert_int_equal(rope_tables_grow(&tables, dev, &cfg, 4, &err), ST_OK);
    assert_int_equal(device_download(dev, c, tables.cos + 3 * 64, sizeof c, &err), ST_OK);
    assert_int_equal(device_download(dev, s, tables.sin + 3 * 64, sizeof s, &err), ST_OK);
    assert_close(c[0], 1.5 * cos(1.5), 2e-7);
    assert_close(s[0], 1.5 * sin(1.5), 2e-7);
    for (int i = 0; i < 64; i++)
        assert_close(hypot(c[i], s[i]), 1.5, 5e-7);
    rope_tables_release(&tables, dev);
    device_close(dev);
}

static void tables_hold_cosine_and_sine_of_the_f32_angle(void **state)
{
    static const uint32_t positions[] = {0, 1, 4095, 4096, 9999};
    struct model_config cfg = config_of(ROPE_LINEAR, 3.0);
    struct device_options opt = {.n_threads = 1};
    struct rope_tables tables = {0}, large;
    struct device *dev = NULL;
    struct err err = {{0}};
    float inv[64];

    rope_tables_inv_freq(&cfg, inv);
    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    assert_int_equal(rope_tables_grow(&tables, dev, &cfg, 5, &err), ST_OK);
    assert_true(tables.n_positions >= 5);
    assert_int_equal(rope_tables_grow(&tables, dev, &cfg, 10000, &err), ST_OK);
    large = tables;
    assert_true(large.n_positions >= 10000);
    /* Fewer positions, and a few more as the next trial may ask for, build nothing. */
    assert_int_equal(rope_tables_grow(&tables, dev, &cfg, 7, &err), ST_OK);
    assert_int_equal(rope_tables_grow(&tables, dev, &cfg, 10080, &err), ST_OK);
    assert_ptr_equal(tables.cos, large.cos);
    assert_int_equal(tables.n_positions, large.n_positions);
    assert_int_equal(device_used(dev, DEVICE_SCRATCH),
                     2 * (size_t)large.n_positions * 64 * sizeof(float));
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
    assert_int_equal(tables.n_positions, large.n_positions);
    rope_tables_release(&tables, dev);
    assert_int_equal(device_used(dev, DEVICE_SCRATCH), 0);
    device_close(dev);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_fall_from_one_by_powers_of_theta),
        cmocka_unit_test(linear_scaling_divides_every_frequency),
        cmocka_unit_test(a_dynamic_rotation_is_the_unscaled_one),
        cmocka_unit_test(yarn_goes_from_the_frequency_to_its_32nd_part),
        cmocka_unit_test(llama3_keeps_short_waves_and_divides_long_ones),
        cmocka_unit_test(the_attention_factor_multiplies_cosine_and_sine),
        cmocka_unit_test(tables_hold_cosine_and_sine_of_the_f32_angle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
