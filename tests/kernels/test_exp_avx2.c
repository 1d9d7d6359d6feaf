#include "kernels/device.h"
#include "tests/kernels/kernel_data.h"

#if defined(__x86_64__)
#include "kernels/exp_avx2.h"

__attribute__((target("avx2,fma"))) static void exp_of_8(const float *in, float *out)
{
    _mm256_storeu_ps(out, exp_avx2(_mm256_loadu_ps(in)));
}

/* A prime step through the bit patterns of [0, 88.7] and [-86.6, 0]. */
static void error_is_below_a_unit_in_the_last_place(void **state)
{
    const uint32_t step = 1009;
    double worst = 0;

    for (uint32_t sign = 0; sign < 2; sign++)
        for (uint32_t b = 0; b < 0x42b20000u; b += 8 * step) {
            float in[8], out[8];
            for (uint32_t i = 0; i < 8; i++)
                in[i] = half_bits_to_f32((b + i * step) | sign << 31);
            exp_of_8(in, out);
            for (int i = 0; i < 8; i++)
                if (in[i] >= -86.6f && in[i] <= 88.7228f)
                    worst = fmax(worst, fabs(out[i] / exp(in[i]) - 1));
        }
    print_message("worst relative error %.3g\n", worst);
    assert_true(worst < 1e-7);
}

static void ends_are_as_promised(void **state)
{
    const float in[8] = {0, -0.0f, -INFINITY, INFINITY, NAN, -86.7f, 88.73f, -1e30f};
    float out[8];

    exp_of_8(in, out);
    assert_true(out[0] == 1 && out[1] == 1 && out[2] == 0 && out[3] == INFINITY);
    assert_true(isnan(out[4]));
    assert_true(out[5] == 0 && out[6] == INFINITY && out[7] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_below_a_unit_in_the_last_place),
        cmocka_unit_test(ends_are_as_promised),
    };
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        test_skip_program("this machine has no AVX2 with FMA");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    test_skip_program("exp_avx2 is for x86-64");
    return 0;
}

#endif
