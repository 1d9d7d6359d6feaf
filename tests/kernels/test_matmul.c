#include "common/clock.h"
#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"

static const enum weight_type types[] = {WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16};

struct problem {
    int n_rows, n_in, n_out;
    enum weight_type type;
    bool bias, accumulate;
};

struct data {
    float *x, *bias, *before;
    void *w;
};

static void data_init(struct data *d, const struct problem *p)
{
    size_t rows = (size_t)p->n_rows, in = (size_t)p->n_in, out = (size_t)p->n_out;

    d->x = malloc(rows * in * sizeof(float));
    d->bias = malloc(out * sizeof(float));
    d->before = malloc(rows * out * sizeof(float));
    d->w = data_weights(p->type, in * out, 7);
    data_fill(d->x, rows * in, 11);
    data_fill(d->bias, out, 13);
    data_fill(d->before, rows * out, 17);
}

static void data_release(struct data *d)
{
    data_weights_free(d->w);
    free(d->before);
    free(d->bias);
    free(d->x);
}

static struct matmul_args args_of(const struct problem *p, const struct data *d, float *out)
{
    /* Unless it accumulates, what `out` held must not matter. */
    for (size_t i = 0; i < (size_t)p->n_rows * (size_t)p->n_out; i++)
        out[i] = p->accumulate ? d->before[i] : NAN;
    return (struct matmul_args){.out = out,
                                .x = d->x,
                                .w = d->w,
                                .bias = p->bias ? d->bias : NULL,
                                .type = p->type,
                                .n_rows = p->n_rows,
                                .n_in = p->n_in,
                                .n_out = p->n_out,
                                .accumulate = p->accumulate};
}

static void run(struct device *dev, const struct matmul_args *a)
{
    struct err err = {{0}};

    assert_int_equal(device_ops(dev)->matmul(dev, a, &err), ST_OK);
}

/* The promised order of one element, in scalars. */
static float ordered_element(const struct matmul_args *a, int r, int o, float before, bool fused)
{
    const float *x = a->x + (size_t)r * (size_t)a->n_in;
    float s[8] = {0};

    for (int i = 0; i < a->n_in; i++) {
        float w = weight_get(a->w, a->type, (size_t)o * (size_t)a->n_in + (size_t)i);
        s[i % 8] = fused ? fmaf(x[i], w, s[i % 8]) : s[i % 8] + x[i] * w;
    }
    float sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
    if (a->bias != NULL)
        sum += a->bias[o];
    return a->accumulate ? sum + before : sum;
}

/* sum |x w| of one element: rounding errors are in proportion to it. */
static double magnitude(const struct matmul_args *a, int r, int o)
{
    double sum = 2; /* bias and what was there are below 1 */

    for (int i = 0; i < a->n_in; i++)
        sum += fabs((double)a->x[(size_t)r * (size_t)a->n_in + (size_t)i] *
                    weight_get(a->w, a->type, (size_t)o * (size_t)a->n_in + (size_t)i));
    return sum;
}

static void check_problem(struct device *dev, const struct problem *p, bool fused)
{
    size_t n = (size_t)p->n_rows * (size_t)p->n_out;
    struct guarded out;
    struct data d;
    float *ref = malloc(n * sizeof *ref);

    data_init(&d, p);
    guarded_init(&out, n);
    struct matmul_args a = args_of(p, &d, ref);
    matmul_ref(&a);
    a = args_of(p, &d, out.p);
    run(dev, &a);
    /* A sum of n_in / 8 terms per lane, two roundings a term without fma, three
     * folds, bias, what was there, and the reference's own rounding. */
    double tol = (2.0 * p->n_in / 8 + 8) * 0x1p-24;
    for (size_t i = 0; i < n; i++) {
        int r = (int)(i / (size_t)p->n_out), o = (int)(i % (size_t)p->n_out);
        float want = ordered_element(&a, r, o, d.before[i], fused);
        if (memcmp(&want, &out.p[i], sizeof want) != 0)
            fail_msg("row %d output %d of %d x %d x %d is %a, in the promised order %a", r, o,
                     p->n_rows, p->n_in, p->n_out, (double)out.p[i], (double)want);
        assert_close(out.p[i], ref[i], tol * magnitude(&a, r, o));
    }
    guarded_release(&out);
    free(ref);
    data_release(&d);
}

/* Sizes around tiles (3 x 4), lanes (8), steps (256) and blocks (16, 120). */
static void check_shapes(struct device *dev, bool fused)
{
    static const int ins[] = {1, 7, 8, 9, 31, 64, 255, 256, 257, 519};
    static const int outs[] = {1, 3, 4, 5, 8, 15, 16, 17, 33};
    static const int rows[] = {1, 2, 3, 4, 9, 121};

    for (size_t i = 0; i < sizeof ins / sizeof *ins; i++)
        for (size_t o = 0; o < sizeof outs / sizeof *outs; o++)
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
                struct problem p = {.n_rows = rows[r], .n_in = ins[i], .n_out = outs[o]};
                p.type = types[(i + o + r) % 3];
                p.bias = (i + r) % 2 == 0;
                p.accumulate = (o + r) % 2 == 0;
                check_problem(dev, &p, fused);
            }
}

static void every_type_everywhere(struct device *dev, bool fused)
{
    for (int t = 0; t < 3; t++)
        for (int rows = 1; rows <= 13; rows += 4) {
            struct problem p = {.n_rows = rows, .n_in = 5003, .n_out = 21, .type = types[t]};
            check_problem(dev, &p, fused);
        }
}

static void vector_path_has_the_promised_order_and_error(void **state)
{
    struct device *dev = data_device(2, false);

    if (strstr(device_describe(dev), "avx2") == NULL) {
        device_close(dev);
        skip();
    }
    check_shapes(dev, true);
    every_type_everywhere(dev, true);
    device_close(dev);
}

static void portable_path_has_the_promised_order_and_error(void **state)
{
    struct device *dev = data_device(2, true);

    check_shapes(dev, false);
    every_type_everywhere(dev, false);
    device_close(dev);
}

static void reference_is_what_a_hand_computes(void **state)
{
    const float x[6] = {1, 2, 3, -1, 0.5f, 4}, w[6] = {2, 0, 1, -3, 4, 0.5f}, bias[2] = {10, 20};
    float out[4] = {100, 200, 300, 400};
    struct matmul_args a = {
        .out = out, .x = x, .w = w, .type = WEIGHT_F32, .n_rows = 2, .n_in = 3, .n_out = 2};

    matmul_ref(&a);
    assert_close(out[0], 5, 0); /* 1*2 + 2*0 + 3*1 */
    assert_close(out[1], 6.5, 0);
    assert_close(out[2], 2, 0);
    assert_close(out[3], 7, 0);
    a.bias = bias;
    a.accumulate = true;
    matmul_ref(&a);
    assert_close(out[0], 20, 0); /* 5 + 10 + the 5 that was there */
    assert_close(out[3], 34, 0);
}

static void no_rows_touch_nothing(void **state)
{
    struct device *dev = data_device(1, false);
    struct matmul_args a = {.n_in = 8, .n_out = 8};

    run(dev, &a);
    device_close(dev);
}

static void weights_that_go_together_give_the_bits_of_one_by_one(void **state)
{
    static const int outs[MATMUL_WEIGHTS] = {40, 7, 130};
    struct device *dev = data_device(2, false);
    float *out[MATMUL_WEIGHTS], *alone;

    for (size_t t = 0; t < 3; t++) {
        struct problem p = {5, 264, 130, types[t], true, true};
        struct data d;

        data_init(&d, &p);
        alone = malloc((size_t)p.n_rows * (size_t)p.n_out * sizeof *alone);
        for (int i = 0; i < MATMUL_WEIGHTS; i++)
            out[i] = malloc((size_t)p.n_rows * (size_t)p.n_out * sizeof *alone);
        struct matmul_args a = args_of(&p, &d, out[0]);
        a.n_out = outs[0];
        a.n_also = MATMUL_WEIGHTS - 1;
        for (int i = 1; i < MATMUL_WEIGHTS; i++) {
            (void)args_of(&p, &d, out[i]);
            /* Other rows of the same table are another weight. */
            a.also[i - 1] = (struct matmul_also){.out = out[i],
                                                 .w = (char *)d.w + (size_t)(130 - outs[i]) * 264 *
                                                                        weight_bytes(p.type),
                                                 .bias = i == 1 ? NULL : d.bias,
                                                 .n_out = outs[i]};
        }
        run(dev, &a);
        for (int i = 0; i < MATMUL_WEIGHTS; i++) {
            struct matmul_args one = matmul_single(&a, i);
            size_t n = (size_t)p.n_rows * (size_t)outs[i];
            one.out = args_of(&p, &d, alone).out;
            run(dev, &one);
            assert_memory_equal(alone, out[i], n * sizeof *alone);
            free(out[i]);
        }
        free(alone);
        data_release(&d);
    }
    device_close(dev);
}

static void speed_is_printed(void **state)
{
    static const int sizes[][3] = {
        {512, 128, 128}, {512, 256, 256}, {512, 512, 512}, {1, 2048, 4096}, {9, 2048, 4096}};
    struct device *dev = data_device(2, false);

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct problem p = {sizes[s][0], sizes[s][1], sizes[s][2], WEIGHT_BF16, false, false};
        double products = (double)p.n_rows * p.n_in * p.n_out, best = INFINITY;
        float *out = malloc((size_t)p.n_rows * (size_t)p.n_out * sizeof *out);
        struct data d;

        data_init(&d, &p);
        struct matmul_args a = args_of(&p, &d, out);
        for (int i = 0; i < 10; i++) {
            uint64_t start = clock_now_ns();
            run(dev, &a);
            best = fmin(best, clock_seconds_since(start));
        }
        assert_true(best > 0);
        print_message("%s: %d rows, %d -> %d: %.1f us, %.1f GFLOP/s\n", device_describe(dev),
                      p.n_rows, p.n_in, p.n_out, best * 1e6, 2e-9 * products / best);
        data_release(&d);
        free(out);
    }
    device_close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_is_what_a_hand_computes),
        cmocka_unit_test(vector_path_has_the_promised_order_and_error),
        cmocka_unit_test(portable_path_has_the_promised_order_and_error),
        cmocka_unit_test(no_rows_touch_nothing),
        cmocka_unit_test(weights_that_go_together_give_the_bits_of_one_by_one),
        cmocka_unit_test(speed_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
