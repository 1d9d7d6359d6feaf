#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"

static void reference_takes_the_tokens_rows(void **state)
{
    const float table[6] = {1, 2, 3, 4, 5, 6};
    const int32_t token[3] = {2, 0, 2};
    const float want[6] = {5, 6, 1, 2, 5, 6};
    float out[6];
    struct embed_args a = {out, table, WEIGHT_F32, token, 3, 2};

    embed_ref(&a);
    assert_memory_equal(out, want, sizeof want);
}

/* Conversion is exact, so every path gives the reference's bits. The table
 * ends where its memory ends, and the last row is asked for. */
static void every_path_equals_the_reference(void **state)
{
    static const int cols[] = {1, 7, 8, 9, 64, 131};
    const int32_t token[4] = {6, 0, 6, 3};

    for (size_t c = 0; c < sizeof cols / sizeof *cols; c++)
        for (int t = 0; t < 3; t++)
            for (int portable = 0; portable < 2; portable++) {
                struct device *dev = data_device(1, portable);
                void *table = data_weights((enum weight_type)t, 7 * (size_t)cols[c], 9);
                float *ref = malloc(4 * (size_t)cols[c] * sizeof *ref);
                struct guarded out;
                struct err err = {{0}};

                guarded_init(&out, 4 * (size_t)cols[c]);
                struct embed_args a = {ref, table, (enum weight_type)t, token, 4, cols[c]};
                embed_ref(&a);
                a.out = out.p;
                assert_int_equal(device_ops(dev)->embed(dev, &a, &err), ST_OK);
                assert_memory_equal(out.p, ref, out.n * sizeof *ref);
                guarded_release(&out);
                free(ref);
                data_weights_free(table);
                device_close(dev);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_takes_the_tokens_rows),
        cmocka_unit_test(every_path_equals_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
