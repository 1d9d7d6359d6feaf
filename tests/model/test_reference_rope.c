/* Tables of published models' rotations against transformers' at positions up to 131071. */
#include "tests/test_helpers.h"

#include "kernels/kv_format.h"
#include "model/rope_tables.h"
#include "tests/npy.h"

#define ROTATIONS TEST_SOURCE_DIR "/tests/fixtures/rotations"

/* Both form the angle in F32; its sine and cosine, times a factor of at most 1.35, are then within
 * two units of an F32 of each other. */
static const double tol = 3e-7;

/* torch's vector pow is not always rounded to nearest: of all pairs here, one frequency of
 * qwen2.5-7b-yarn4 (pair 37) is a unit in the last place beside ours. */
enum { MAX_PAIRS_OFF = 1 };

static struct npy positions;
static int n_pairs_off;

static void read_table(struct npy *out, const char *name, const char *file)
{
    char path[512];

    snprintf(path, sizeof path, ROTATIONS "/%s/%s", name, file);
    if (!npy_read(out, path, "<f4"))
        fail_msg("cannot read %s", path);
}

/* How far apart the frequencies are, [half]; at most one unit, and that hardly ever. */
static void check_frequencies(const char *name, const struct model_config *cfg, double *off)
{
    float inv[KV_MAX_HEAD_DIM / 2];
    struct npy want;

    read_table(&want, name, "inv_freq.npy");
    assert_int_equal(want.n_rows, cfg->head_dim / 2);
    rope_tables_inv_freq(cfg, inv);
    for (uint32_t i = 0; i < want.n_rows; i++) {
        off[i] = fabs((double)inv[i] - want.f32[i]);
        if (off[i] == 0)
            continue;
        if (inv[i] != nextafterf(want.f32[i], 1) && inv[i] != nextafterf(want.f32[i], 0))
            fail_msg("%s: frequency %u is %.9g, not %.9g", name, i, inv[i], want.f32[i]);
        n_pairs_off++;
    }
    npy_release(&want);
}

static void check_table(const char *name, const char *file, const float *table, uint32_t half,
                        const double *off)
{
    struct npy want;
    double worst = 0;

    read_table(&want, name, file);
    assert_int_equal(want.n_rows, positions.n_rows);
    assert_int_equal(want.n_cols, half);
    for (size_t p = 0; p < want.n_rows; p++) {
        for (uint32_t i = 0; i < half; i++) {
            float got = table[(size_t)positions.i32[p] * half + i];
            double d = fabs((double)got - want.f32[p * half + i]);
            if (!(d <= tol + 1.35 * positions.i32[p] * off[i]))
                fail_msg("%s/%s: position %d, pair %u: %.9g, not %.9g", name, file,
                         positions.i32[p], i, got, want.f32[p * half + i]);
            worst = fmax(worst, d);
        }
    }
    print_message("%s/%s: largest difference %.1e\n", name, file, worst);
    npy_release(&want);
}

static void check_rotation(const char *name)
{
    struct device_options opt = {.n_threads = 1};
    uint32_t last = (uint32_t)positions.i32[positions.n_rows - 1];
    struct rope_tables tables = {0};
    struct device *dev = NULL;
    struct model_config cfg;
    struct err err = {{0}};
    double off[KV_MAX_HEAD_DIM / 2];
    char path[512];

    snprintf(path, sizeof path, ROTATIONS "/%s", name);
    if (model_config_read(&cfg, path, &err) != ST_OK)
        fail_msg("%s", err.text);
    check_frequencies(name, &cfg, off);
    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    assert_int_equal(rope_tables_grow(&tables, dev, &cfg, last + 1, &err), ST_OK);
    check_table(name, "cos.npy", tables.cos, cfg.head_dim / 2, off);
    check_table(name, "sin.npy", tables.sin, cfg.head_dim / 2, off);
    rope_tables_release(&tables, dev);
    device_close(dev);
}

static void yarn_rotates_as_published_up_to_128k(void **state)
{
    check_rotation("yarn-llama-2-7b-128k");
    check_rotation("qwen2.5-7b-yarn4");
}

static void llama3_rotates_as_published_up_to_128k(void **state)
{
    check_rotation("llama-3.1-8b");
    check_rotation("llama-3.2-1b");
}

static void plain_linear_and_dynamic_rotate_as_the_reference_up_to_128k(void **state)
{
    check_rotation("lwm-text-128k");
    check_rotation("linear8");
    check_rotation("dynamic2");
}

static void frequencies_are_the_references_but_for_one_rounding(void **state)
{
    assert_in_range(n_pairs_off, 0, MAX_PAIRS_OFF);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(yarn_rotates_as_published_up_to_128k),
        cmocka_unit_test(llama3_rotates_as_published_up_to_128k),
        cmocka_unit_test(plain_linear_and_dynamic_rotate_as_the_reference_up_to_128k),
        cmocka_unit_test(frequencies_are_the_references_but_for_one_rounding), /* of all above */
    };
    int failed;

    if (!npy_read(&positions, ROTATIONS "/positions.npy", "<i4"))
        return EXIT_FAILURE;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    npy_release(&positions);
    return failed;
}
