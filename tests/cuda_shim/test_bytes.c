/* Products of bytes: the lane layout of the ISA, signs, and sums that wrap. */
#include "tests/test_helpers.h"

#include "tests/cuda_shim/sample.h"

static void run(const uint8_t *a, const uint8_t *b, int32_t *out, int kind)
{
    struct sample_args args = {.in = a, .in2 = b, .out = out, .kind = kind};
    void *params[] = {&args};

    assert_int_equal(cudaLaunchKernel(sample_kernel(SAMPLE_MMA_BYTES), (dim3){1, 1, 1},
                                      (dim3){32, 1, 1}, params, 0, NULL),
                     cudaSuccess);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
}

static int64_t value(uint8_t byte, int is_signed)
{
    return is_signed ? (int8_t)byte : byte;
}

static void products_of_bytes_have_the_layout_and_signs_of_the_isa(void **state)
{
    for (int kind = 0; kind < 4; kind++) {
        uint8_t a[16 * 32], b[8 * 32];
        int32_t out[16 * 8], start[16 * 8];

        for (uint32_t i = 0; i < sizeof a; i++)
            a[i] = (uint8_t)(i * 2654435761u >> 13);
        for (uint32_t i = 0; i < sizeof b; i++)
            b[i] = (uint8_t)((i + 7) * 2246822519u >> 11);
        for (int i = 0; i < 128; i++)
            out[i] = start[i] = i == 5 ? INT32_MAX - 3 : i * 1000 - 64000;
        run(a, b, out, kind);
        for (int i = 0; i < 128; i++) {
            int64_t sum = start[i];
            for (int k = 0; k < 32; k++)
                sum += value(a[i / 8 * 32 + k], kind & 1) * value(b[i % 8 * 32 + k], kind & 2);
            assert_int_equal((uint32_t)out[i], (uint32_t)(uint64_t)sum);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_bytes_have_the_layout_and_signs_of_the_isa),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
