#include "tests/test_helpers.h"

#include "common/coder.h"

/* Reads `bytes` (from an exactly sized copy) by `read`, which returns whether
 * everything was accepted. */
#define READ(bytes, statement)                                                                     \
    do {                                                                                           \
        uint8_t *copy_ = malloc(sizeof(bytes));                                                    \
        memcpy(copy_, bytes, sizeof(bytes));                                                       \
        coder_init_reader(&c, copy_, sizeof(bytes));                                               \
        statement;                                                                                 \
        st = coder_finish(&c, "test", &err);                                                       \
        coder_release(&c);                                                                         \
        free(copy_);                                                                               \
    } while (0)

#define BYTES(...)                                                                                 \
    (const uint8_t[])                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static struct coder c;
static struct err err;
static enum status st;

static void check_written(const uint8_t *expected, size_t n)
{
    assert_int_equal(coder_finish(&c, "test", &err), ST_OK);
    assert_int_equal(c.n_out, n);
    assert_memory_equal(c.out, expected, n);
    coder_release(&c);
}

static void test_numbers_have_their_shortest_form_around_every_border(void **state)
{
    static const struct {
        int64_t value;
        size_t n_bytes;
    } cases[] = {{0, 1},     {127, 1},       {128, 2},    {255, 2},      {256, 3}, {65535, 3},
                 {65536, 5}, {INT32_MAX, 5}, {-1, 1},     {-32, 1},      {-33, 2}, {-128, 2},
                 {-129, 3},  {-32768, 3},    {-32769, 5}, {INT32_MIN, 5}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t in = (int32_t)cases[i].value, out = 77;
        struct coder r;
        coder_init_writer(&c);
        code_i32(&c, "v", &in);
        assert_int_equal(c.n_out, cases[i].n_bytes);
        coder_init_reader(&r, c.out, c.n_out);
        code_i32(&r, "v", &out);
        assert_int_equal(coder_finish(&r, "test", &err), ST_OK);
        assert_int_equal(out, in);
        coder_release(&c);
    }
}

static void test_unsigned_numbers_come_back_around_every_border(void **state)
{
    for (int shift = 0; shift < 64; shift++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t in = ((uint64_t)1 << shift) + (uint64_t)delta, out = 77;
            struct coder r;
            coder_init_writer(&c);
            code_u64(&c, "v", &in);
            coder_init_reader(&r, c.out, c.n_out);
            code_u64(&r, "v", &out);
            assert_int_equal(coder_finish(&r, "test", &err), ST_OK);
            assert_true(out == in);
            coder_release(&c);
        }
    }
}

static void test_longer_forms_than_needed_are_refused(void **state)
{
    uint64_t u;
    uint32_t n;
    int32_t i;
    char text[64];

    READ(BYTES(0xcc, 0x7f), code_u64(&c, "v", &u));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xcd, 0x00, 0xff), code_u64(&c, "v", &u));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xcf, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), code_u64(&c, "v", &u));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xd0, 0x05), code_i32(&c, "v", &i));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xd0, 0xff), code_i32(&c, "v", &i));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xd1, 0xff, 0x80), code_i32(&c, "v", &i));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xd2, 0xff, 0xff, 0x80, 0x00), code_i32(&c, "v", &i));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xdc, 0, 1, 0), code_count(&c, "v", &n, 99));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xd9, 1, 'x'), code_text(&c, "v", text, sizeof text));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xcd, 0x01, 0x00), code_u64(&c, "v", &u));
    assert_int_equal(st, ST_OK);
    assert_true(u == 256);
}

static void test_values_out_of_range_are_refused_and_leave_zero(void **state)
{
    uint32_t u = 9;
    int32_t i = 9;

    READ(BYTES(0xcf, 0, 0, 0, 1, 0, 0, 0, 0), code_u32(&c, "wide", &u));
    assert_int_equal(st, ST_CORRUPT);
    assert_int_equal(u, 0);
    assert_non_null(strstr(err.text, "field wide"));
    READ(BYTES(0xce, 0x80, 0, 0, 0), code_i32(&c, "v", &i));
    assert_int_equal(st, ST_CORRUPT);
    assert_int_equal(i, 0);
    READ(BYTES(0xff), code_u32(&c, "v", &u));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xd3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0), code_i32(&c, "v", &i));
    assert_int_equal(st, ST_CORRUPT);
}

static void test_only_the_expected_type_is_read(void **state)
{
    uint64_t u;
    double d;
    bool b;
    char text[8];
    uint32_t n;
    int32_t *v;

    READ(BYTES(0xc0), code_u64(&c, "v", &u));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0x01), code_f64(&c, "v", &d));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xca, 0, 0, 0, 0), code_f64(&c, "v", &d)); /* float32 */
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0x01), code_bool(&c, "v", &b));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xc4, 1, 'x'), code_text(&c, "v", text, sizeof text)); /* bin */
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0x81, 1, 1), code_count(&c, "v", &n, 9)); /* map */
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0x91, 1), code_i32_array(&c, "v", &v, &n, 9));
    assert_int_equal(st, ST_CORRUPT);
    assert_null(v);
}

static void test_floats_are_finite_both_ways(void **state)
{
    const uint8_t nan_bytes[] = {0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0};
    const uint8_t infinity_bytes[] = {0xcb, 0xff, 0xf0, 0, 0, 0, 0, 0, 0};
    double values[] = {NAN, INFINITY, -INFINITY};
    double d = 5;

    READ(nan_bytes, code_f64(&c, "v", &d));
    assert_int_equal(st, ST_CORRUPT);
    assert_close(d, 0, 0);
    READ(infinity_bytes, code_f64(&c, "v", &d));
    assert_int_equal(st, ST_CORRUPT);
    for (int i = 0; i < 3; i++) {
        coder_init_writer(&c);
        code_f64(&c, "speed", &values[i]);
        assert_int_equal(coder_finish(&c, "test", &err), ST_CORRUPT);
        assert_non_null(strstr(err.text, "speed"));
        coder_release(&c);
    }
    READ(BYTES(0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0), code_f64(&c, "v", &d));
    assert_int_equal(st, ST_OK);
    assert_close(d, 1.5, 0);
}

static void test_texts_fit_are_terminated_and_hold_no_zero(void **state)
{
    char text[4] = "zzz";

    READ(BYTES(0xa3, 'a', 'b', 'c'), code_text(&c, "v", text, sizeof text));
    assert_int_equal(st, ST_OK);
    assert_string_equal(text, "abc");
    READ(BYTES(0xa4, 'a', 'b', 'c', 'd'), code_text(&c, "v", text, sizeof text));
    assert_int_equal(st, ST_CORRUPT);
    assert_string_equal(text, "");
    READ(BYTES(0xa2, 'a', 0), code_text(&c, "v", text, sizeof text));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xa3, 'a'), code_text(&c, "v", text, sizeof text));
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xa0), code_text(&c, "v", text, sizeof text));
    assert_int_equal(st, ST_OK);
    memcpy(text, "full", 4); /* without its terminator */
    coder_init_writer(&c);
    code_text(&c, "v", text, sizeof text);
    assert_int_equal(coder_finish(&c, "test", &err), ST_CORRUPT);
    coder_release(&c);
}

static void test_a_claimed_count_needs_its_bytes(void **state)
{
    uint32_t n = 5;
    int32_t *v = NULL;
    uint64_t *w = NULL;

    READ(BYTES(0xdd, 0x10, 0, 0, 0), code_count(&c, "v", &n, UINT32_MAX));
    assert_int_equal(st, ST_CORRUPT);
    assert_int_equal(n, 0);
    READ(BYTES(0xc6, 0xff, 0xff, 0xff, 0xfc), code_i32_array(&c, "v", &v, &n, UINT32_MAX));
    assert_int_equal(st, ST_CORRUPT);
    assert_true(v == NULL && n == 0);
    READ(BYTES(0xc4, 5, 1, 2, 3, 4, 5), code_i32_array(&c, "v", &v, &n, 9)); /* not 4 k */
    assert_int_equal(st, ST_CORRUPT);
    READ(BYTES(0xc4, 8, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), code_i32_array(&c, "v", &v, &n, 1));
    assert_int_equal(st, ST_CORRUPT);
    assert_true(v == NULL && n == 0);
    READ(BYTES(0xc4, 8, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), code_i32_array(&c, "v", &v, &n, 2));
    assert_int_equal(st, ST_OK);
    assert_true(n == 2 && v[0] == 1 && v[1] == -1);
    free(v);
    READ(BYTES(0xc4, 8, 1, 2, 0, 0, 0, 0, 0, 0x80), code_u64_array(&c, "v", &w, &n, 2));
    assert_int_equal(st, ST_OK);
    assert_true(n == 1 && w[0] == 0x8000000000000201u);
    free(w);
    READ(BYTES(0xc4, 0), code_i32_array(&c, "v", &v, &n, 2));
    assert_true(st == ST_OK && n == 0);
    free(v);
}

static void test_counts_and_lengths_have_all_their_forms(void **state)
{
    static const uint32_t counts[] = {0, 1, 15, 16, 255, 256, 65535, 65536, 70000};
    struct coder r;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        int32_t *in = calloc(counts[i] + 1, sizeof *in), *out = NULL;
        uint32_t n = counts[i], n_out = 0, count = 0;
        coder_init_writer(&c);
        code_count(&c, "count", &n, UINT32_MAX);
        for (uint32_t k = 0; k < n; k++)
            code_i32(&c, "element", &in[k]);
        code_i32_array(&c, "array", &in, &n, UINT32_MAX);
        assert_int_equal(coder_finish(&c, "test", &err), ST_OK);
        coder_init_reader(&r, c.out, c.n_out);
        code_count(&r, "count", &count, UINT32_MAX);
        assert_int_equal(count, n);
        for (uint32_t k = 0; k < count; k++)
            code_i32(&r, "element", &in[k]);
        code_i32_array(&r, "array", &out, &n_out, UINT32_MAX);
        assert_int_equal(coder_finish(&r, "test", &err), ST_OK);
        assert_int_equal(n_out, n);
        coder_release(&c);
        free(out);
        free(in);
    }
}

static void test_the_first_failure_sticks_and_is_named(void **state)
{
    uint64_t u = 1;
    uint32_t n = 3;

    READ(BYTES(0xc0, 1, 2, 3), {
        code_u64(&c, "first", &u);
        code_u64(&c, "second", &u);
        code_count(&c, "third", &n, 9);
    });
    assert_int_equal(st, ST_CORRUPT);
    assert_non_null(strstr(err.text, "test: field first at byte 1 of 4"));
    assert_true(u == 0 && n == 0);
    n = 10;
    coder_init_writer(&c);
    code_count(&c, "many", &n, 9);
    assert_int_equal(coder_finish(&c, "test", &err), ST_CORRUPT);
    assert_int_equal(n, 0);
    coder_release(&c);
}

static void test_trailing_bytes_are_refused(void **state)
{
    uint64_t u;

    READ(BYTES(0x01, 0x02), code_u64(&c, "v", &u));
    assert_int_equal(st, ST_CORRUPT);
    assert_non_null(strstr(err.text, "1 bytes follow"));
}

static void test_the_writer_grows_and_has_known_bytes(void **state)
{
    uint32_t n = 2;
    bool yes = true;
    char text[] = "hi";

    coder_init_writer(&c);
    code_count(&c, "n", &n, 2);
    code_bool(&c, "b", &yes);
    code_text(&c, "t", text, sizeof text);
    check_written(BYTES(0x92, 0xc3, 0xa2, 'h', 'i'), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_have_their_shortest_form_around_every_border),
        cmocka_unit_test(test_unsigned_numbers_come_back_around_every_border),
        cmocka_unit_test(test_longer_forms_than_needed_are_refused),
        cmocka_unit_test(test_values_out_of_range_are_refused_and_leave_zero),
        cmocka_unit_test(test_only_the_expected_type_is_read),
        cmocka_unit_test(test_floats_are_finite_both_ways),
        cmocka_unit_test(test_texts_fit_are_terminated_and_hold_no_zero),
        cmocka_unit_test(test_a_claimed_count_needs_its_bytes),
        cmocka_unit_test(test_counts_and_lengths_have_all_their_forms),
        cmocka_unit_test(test_the_first_failure_sticks_and_is_named),
        cmocka_unit_test(test_trailing_bytes_are_refused),
        cmocka_unit_test(test_the_writer_grows_and_has_known_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
