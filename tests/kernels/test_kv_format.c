#include "kernels/kv_format.h"

#include <xxhash.h>

#include "kernels/half.h"
#include "tests/kernels/kv_fixture.h"
#include "tests/test_helpers.h"

enum { D = 8, ROWS = PAGE_TOKENS * D };

/* Multiples of 1/8 in -1.875 .. 1.875, exact in f16. */
static void pattern(float *k, float *v)
{
    for (int t = 0; t < PAGE_TOKENS; t++)
        for (int d = 0; d < D; d++) {
            k[t * D + d] = (float)((t * 7 + d * 13) % 31 - 15) / 8.0f;
            v[t * D + d] = (float)((t * 11 + d * 5) % 31 - 15) / 8.0f;
        }
}

static unsigned char *sealed_pattern(enum kv_format format)
{
    float k[ROWS], v[ROWS];
    unsigned char *head = kv_guard_open(kv_head_bytes(format, D));

    pattern(k, v);
    kv_format_ops(format)->seal(head, D, k, v);
    return head;
}

/* Whoever changes a byte of a layout raises KV_LAYOUT_ID and takes the new
 * hash from the failing line. */
static void the_bytes_of_every_layout_are_golden(void **state)
{
    static const uint64_t golden[KV_FORMAT_COUNT] = {0x35888144a06c2e6d, 0x493bfd217e2a0b50,
                                                     0xd875ca8b7c069730, 0x608fc87f61cb1903};
    for (int f = 0; f < KV_FORMAT_COUNT; f++) {
        size_t n = kv_head_bytes((enum kv_format)f, D);
        unsigned char *head = sealed_pattern((enum kv_format)f);
        uint64_t hash = XXH3_64bits(head, n);
        if (hash != golden[f])
            fail_msg("%s: bytes hash to 0x%016llx", kv_format_ops((enum kv_format)f)->name,
                     (unsigned long long)hash);
        kv_guard_close(head, n);
    }
}

static float f32_at(const unsigned char *p, size_t at)
{
    float x;
    memcpy(&x, p + at, sizeof x);
    return x;
}

/* Token 21, dimension 5: K (21*7 + 65) % 31 - 15 = 11, V (231 + 25) % 31 - 15 = -7,
 * in eighths. Panel 2, place 5; pair 10, second of it. */
static void elements_lie_where_the_table_says(void **state)
{
    unsigned char *head = sealed_pattern(KV_F32);
    assert_true(f32_at(head, 4 * (2 * 64 + 5 * 8 + 5)) == 11.0f / 8);
    assert_true(f32_at(head, 4 * ROWS + 4 * (21 * 8 + 5)) == -7.0f / 8);
    kv_guard_close(head, kv_head_bytes(KV_F32, D));

    head = sealed_pattern(KV_F16);
    uint16_t half[2];
    memcpy(&half[0], head + 2 * (2 * 64 + 5 * 8 + 5), 2);
    memcpy(&half[1], head + 2 * ROWS + 2 * (21 * 8 + 5), 2);
    assert_int_equal(half[0], 0x3d80); /* 1.375 */
    assert_int_equal(half[1], 0xbb00); /* -0.875 */
    kv_guard_close(head, kv_head_bytes(KV_F16, D));

    /* Every K channel holds all residues: scale 15 / 8 / 127, q = 11 * 127 / 15.
     * Token 21's V row: -9 -4 1 6 11 -15 ... see below; its scale makes q. */
    head = sealed_pattern(KV_INT8);
    assert_int_equal((int8_t)head[((2 * 4 + 2) * 8 + 5) * 2 + 1], 93);
    assert_close(f32_at(head, ROWS + 4 * 5), 15.0 / 8 / 127, 1e-8);
    size_t v = kv_k_bytes(KV_INT8, D);
    float scale = f32_at(head, v + ROWS + 4 * 21);
    assert_close(scale * (float)(int8_t)head[v + (10 * 8 + 5) * 2 + 1], -7.0 / 8, scale / 2);
    kv_guard_close(head, kv_head_bytes(KV_INT8, D));

    /* Channel: min -15/8, scale 2/8: q = (11 + 15) / 2 = 13. Panel 2 is the low
     * nibble of panel pair 1; token pair 10 the low nibble of pair 5. */
    head = sealed_pattern(KV_INT4);
    assert_int_equal(head[((1 * 4 + 2) * 8 + 5) * 2 + 1] & 15, 13);
    assert_close(f32_at(head, ROWS / 2 + 4 * 5), 0.25, 1e-8);
    assert_close(f32_at(head, ROWS / 2 + 4 * (D + 5)), -1.875, 1e-8);
    v = kv_k_bytes(KV_INT4, D);
    scale = f32_at(head, v + ROWS / 2 + 4 * 21);
    float min = f32_at(head, v + ROWS / 2 + 4 * (PAGE_TOKENS + 21));
    assert_close(scale * (float)(head[v + (5 * 8 + 5) * 2 + 1] & 15) + min, -7.0 / 8, scale / 2);
    kv_guard_close(head, kv_head_bytes(KV_INT4, D));
}

static double relative_rms(enum kv_format format, uint32_t head_dim, const float *rows, bool is_k)
{
    void *head = kv_guard_open(kv_head_bytes(format, head_dim));
    double e = 0.0, s = 0.0;
    float row[KV_MAX_HEAD_DIM];

    kv_format_ops(format)->seal(head, head_dim, rows, rows);
    for (uint32_t t = 0; t < PAGE_TOKENS; t++) {
        (is_k ? kv_format_ops(format)->get_k : kv_format_ops(format)->get_v)(head, head_dim, t,
                                                                             row);
        for (uint32_t d = 0; d < head_dim; d++) {
            double x = (double)rows[t * head_dim + d], diff = x - (double)row[d];
            e += diff * diff;
            s += x * x;
        }
    }
    kv_guard_close(head, kv_head_bytes(format, head_dim));
    return sqrt(e / s);
}

/* Normal data: a step of max / 127 with max some 2.7 sigma of 128 values gives
 * 2.7 / 127 / sqrt(12) = 0.6 %; 15 steps over 5.4 sigma give 10 %. */
static void quantized_formats_are_as_accurate_as_their_bits(void **state)
{
    const uint32_t head_dims[] = {16, 64, 128, 256};
    for (size_t i = 0; i < 4; i++) {
        uint32_t n = head_dims[i];
        float *rows = kv_fixture_normals(i, (size_t)PAGE_TOKENS * n);
        assert_true(relative_rms(KV_INT8, n, rows, true) < 0.01);
        assert_true(relative_rms(KV_INT8, n, rows, false) < 0.01);
        assert_true(relative_rms(KV_INT4, n, rows, true) < 0.12);
        assert_true(relative_rms(KV_INT4, n, rows, false) < 0.12);
        assert_true(relative_rms(KV_F16, n, rows, true) < 0.0005);
        /* K has a scale per channel: a channel 50 times larger harms no other. */
        for (uint32_t t = 0; t < PAGE_TOKENS; t++)
            rows[t * n + 3] *= 50.0f;
        assert_true(relative_rms(KV_INT8, n, rows, true) < 0.01);
        for (uint32_t t = 0; t < PAGE_TOKENS; t++)
            rows[t * n + 3] = 0.0f;
        assert_true(relative_rms(KV_INT8, n, rows, true) < 0.01);
        free(rows);
    }
}

static void strange_channels_stay_finite_and_near(void **state)
{
    static const float values[] = {0.0f, -0.0f, 3.0f, 65504.0f, -65504.0f, 6e-8f, 1e-40f, 1e-30f};
    float rows[PAGE_TOKENS * 16], row[16];
    for (int f = KV_INT8; f <= KV_INT4; f++)
        for (size_t i = 0; i < sizeof values / sizeof *values; i++)
            for (int mode = 0; mode < 3; mode++) {
                /* mode 0: constant; 1: alternating sign; 2: one element only. */
                for (int e = 0; e < PAGE_TOKENS * 16; e++)
                    rows[e] = mode == 0   ? values[i]
                              : mode == 1 ? (e / 16 + e) % 2 ? values[i] : -values[i]
                              : e == 777 ? values[i]
                                          : 0.0f;
                size_t n = kv_head_bytes((enum kv_format)f, 16);
                void *head = kv_guard_open(n);
                const struct kv_format_ops *ops = kv_format_ops((enum kv_format)f);
                ops->seal(head, 16, rows, rows);
                double tol = fabs((double)values[i]) * (f == KV_INT8 ? 0.5 / 127 : 1.0 / 15) * 1.01;
                tol += 1e-37; /* below that a scale may underflow */
                for (uint32_t t = 0; t < PAGE_TOKENS; t++) {
                    ops->get_k(head, 16, t, row);
                    for (int d = 0; d < 16; d++)
                        assert_close(row[d], rows[t * 16 + d], tol);
                    ops->get_v(head, 16, t, row);
                    for (int d = 0; d < 16; d++)
                        assert_close(row[d], rows[t * 16 + d], tol);
                }
                kv_guard_close(head, n);
            }
}

static void names_and_numbers_agree(void **state)
{
    struct err err = {{0}};
    enum kv_format format;
    for (int f = 0; f < KV_FORMAT_COUNT; f++) {
        assert_int_equal(kv_format_parse(kv_format_ops((enum kv_format)f)->name, &format, &err),
                         ST_OK);
        assert_int_equal(format, f);
    }
    assert_int_equal(kv_format_parse("fp8", &format, &err), ST_NOT_FOUND);
    assert_string_equal(err.text, "'fp8' is not a KV format: f32, f16, int8 or int4");
    assert_null(kv_format_ops((enum kv_format)4));
    assert_null(kv_format_ops((enum kv_format) - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_of_every_layout_are_golden),
        cmocka_unit_test(elements_lie_where_the_table_says),
        cmocka_unit_test(quantized_formats_are_as_accurate_as_their_bits),
        cmocka_unit_test(strange_channels_stay_finite_and_near),
        cmocka_unit_test(names_and_numbers_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
