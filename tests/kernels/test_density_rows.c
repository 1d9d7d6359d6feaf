#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"

enum { ROWS = 5, VOCAB = 8000 };

static void fill_rows(float *logits)
{
    data_fill(logits, (size_t)ROWS * VOCAB, 7);
    for (size_t i = 0; i < (size_t)ROWS * VOCAB; i++)
        logits[i] *= 9;
    logits[1 * VOCAB + 77] = NAN;
    for (int i = 0; i < VOCAB; i++)
        logits[3 * VOCAB + i] = -INFINITY;
}

static void rows_have_the_law_of_one_row_and_bad_ones_are_marked(void **state)
{
    float *logits = malloc(sizeof(float) * ROWS * VOCAB), *want = malloc(sizeof(float) * VOCAB);
    uint32_t *scratch = malloc(sizeof(uint32_t) * VOCAB);
    struct density_params law = {0.8, 0.9};

    fill_rows(logits);
    for (int threads = 0; threads <= 3; threads++) { /* 0: the reference */
        struct device *dev = data_device(threads > 0 ? threads : 1, false);
        struct guarded p;
        struct err err = {{0}};
        guarded_init(&p, (size_t)ROWS * VOCAB);
        struct density_rows_args a = {p.p, logits, ROWS, VOCAB, law};
        if (threads == 0)
            density_rows_ref(&a);
        else
            assert_int_equal(device_ops(dev)->density_rows(dev, &a, &err), ST_OK);
        for (int r = 0; r < ROWS; r++) {
            const float *row = p.p + (size_t)r * VOCAB;
            if (r == 1 || r == 3) {
                assert_true(isnan(row[0]));
                continue;
            }
            assert_int_equal(
                density_from_logits(want, logits + (size_t)r * VOCAB, VOCAB, &law, scratch, NULL),
                ST_OK);
            assert_memory_equal(row, want, sizeof(float) * VOCAB);
        }
        guarded_release(&p);
        device_close(dev);
    }
    free(scratch);
    free(want);
    free(logits);
}

static void impossible_settings_are_refused_in_words(void **state)
{
    static const struct {
        int n_vocab;
        struct density_params law;
    } cases[] = {{2, {-1, 0.9}}, {2, {1, 0}}, {2, {1, 1.5}}, {0, {1, 0.9}}};
    const float logits[2] = {1, 2};
    float p[2] = {7, 7};
    struct device *dev = data_device(1, false);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {{0}};
        struct density_rows_args a = {p, logits, 1, cases[i].n_vocab, cases[i].law};
        assert_int_equal(device_ops(dev)->density_rows(dev, &a, &err), ST_INVALID);
        assert_true(strlen(err.text) > 10);
        assert_close(p[0], 7, 0);
    }
    struct density_rows_args none = {NULL, NULL, 0, 2, {1, 1}};
    assert_int_equal(device_ops(dev)->density_rows(dev, &none, NULL), ST_OK);
    device_close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_law_of_one_row_and_bad_ones_are_marked),
        cmocka_unit_test(impossible_settings_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
