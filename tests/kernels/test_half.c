#include "kernels/half.h"

#include "tests/test_helpers.h"

/* All 65536 halves: to f32 by value, and back to the same bits. */
static void every_half_survives_the_round_trip(void **state)
{
    for (uint32_t h = 0; h < 65536; h++) {
        int exponent = (int)(h >> 10 & 31);
        double fraction = (h & 1023) / 1024.0, sign = h & 0x8000 ? -1 : 1;
        float f = half_from_f16((uint16_t)h);

        if (exponent == 31 && fraction > 0) {
            assert_true(isnan(f) && isnan(half_from_f16(half_to_f16(f))));
            continue;
        }
        double want = exponent == 31  ? sign * INFINITY
                      : exponent == 0 ? sign * ldexp(fraction, -14)
                                      : sign * ldexp(1 + fraction, exponent - 15);
        if ((double)f != want || half_to_f16(f) != h)
            fail_msg("half %04x reads %a and goes back to %04x", h, (double)f, half_to_f16(f));
    }
}

/* Between every two neighbours: below the middle down, above it up, the middle
 * to the even one. */
static void rounding_is_to_the_nearest_even(void **state)
{
    for (uint32_t h = 0; h < 0x7bff; h++) {
        float low = half_from_f16((uint16_t)h), high = half_from_f16((uint16_t)(h + 1));
        float middle = (low + high) / 2; /* exact: one bit more than a half has */

        assert_int_equal(half_to_f16(middle), h & 1 ? h + 1 : h);
        assert_int_equal(half_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(half_to_f16(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(half_to_f16(-middle), 0x8000u | (h & 1 ? h + 1 : h));
    }
    assert_int_equal(half_to_f16(65519.996f), 0x7bff);
    assert_int_equal(half_to_f16(65520), 0x7c00);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx,f16c"))) static uint16_t by_instruction(float f)
{
    return (uint16_t)_mm_extract_epi16(
        _mm_cvtps_ph(_mm_set1_ps(f), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), 0);
}

static void the_instruction_gives_the_same_bits(void **state)
{
    if (!__builtin_cpu_supports("avx2"))
        skip();
    for (uint64_t b = 0; b <= UINT32_MAX; b += 40009) {
        float f = half_bits_to_f32((uint32_t)b);
        if (half_to_f16(f) != by_instruction(f))
            fail_msg("%a (bits %08x) rounds to %04x, by instruction to %04x", (double)f,
                     (unsigned)b, half_to_f16(f), by_instruction(f));
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_survives_the_round_trip),
        cmocka_unit_test(rounding_is_to_the_nearest_even),
#if defined(__x86_64__)
        cmocka_unit_test(the_instruction_gives_the_same_bits),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
