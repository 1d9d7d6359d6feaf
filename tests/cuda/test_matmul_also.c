/* Several weights on one x in one operation, on a CUDA device or the host shim. */
#include "tests/cuda/matmul_product.h"

static struct device *dev;
static bool is_shim;

struct trio {
    struct product p[MATMUL_WEIGHTS]; /* of one x: that of the first */
    int n;
};

static void trio_open(struct trio *t, const struct problem is[MATMUL_WEIGHTS], int n)
{
    t->n = n;
    for (int i = 0; i < n; i++) {
        product_fill(&t->p[i], dev, &is[i]);
        if (i > 0)
            memcpy(t->p[i].x, t->p[0].x, t->p[0].x_bytes);
        product_upload(&t->p[i]);
        product_reset(&t->p[i]);
    }
}

static void trio_close(struct trio *t)
{
    for (int i = 0; i < t->n; i++)
        product_close(&t->p[i]);
}

static float *out_of(const struct product *p, int from)
{
    return p->out + (size_t)from * (size_t)p->is.n_out;
}

/* Rows [from, from + n_rows) of all weights. */
static void trio_queue(const struct trio *t, int from, int n_rows)
{
    const struct product *p = &t->p[0];
    struct matmul_args a = {
        .out = out_of(p, from),
        .x = (float *)(void *)(p->x_block + NAN_BAND) + (size_t)from * (size_t)p->is.n_in,
        .w = p->w_block + NAN_BAND + p->is.w_offset,
        .bias = p->is.bias ? (float *)(void *)(p->bias_block + NAN_BAND) : NULL,
        .type = p->is.type,
        .n_rows = n_rows,
        .n_in = p->is.n_in,
        .n_out = p->is.n_out,
        .accumulate = p->is.accumulate,
        .n_also = t->n - 1,
    };

    for (int i = 1; i < t->n; i++) {
        p = &t->p[i];
        a.also[i - 1] = (struct matmul_also){
            .out = out_of(p, from),
            .w = p->w_block + NAN_BAND + p->is.w_offset,
            .bias = p->is.bias ? (float *)(void *)(p->bias_block + NAN_BAND) : NULL,
            .n_out = p->is.n_out};
    }
    assert_ok(device_ops(dev)->matmul(dev, &a, err));
}

/* As test_matmul.c counts roundings. */
static void check_against_reference(const struct product *p)
{
    double steps = p->is.n_rows > 64 ? p->is.n_in * 3 / 8.0 : p->is.n_in / 32.0;
    float *out = product_result((struct product *)p), *want = product_want(p);

    for (size_t i = 0; i < p->out_bytes / sizeof(float); i++) {
        size_t r = i / (size_t)p->is.n_out, o = i % (size_t)p->is.n_out;
        double allowed = (steps + 48) * 0x1p-24 * product_magnitude(p, r, o);
        if (!(fabs((double)out[i] - (double)want[i]) <= allowed))
            fail_msg("row %zu output %zu of %d is %g, not %g", r, o, p->is.n_out, (double)out[i],
                     (double)want[i]);
    }
    free(want);
    free(out);
}

static void check_trio(const struct problem is[MATMUL_WEIGHTS], int n)
{
    struct trio t;

    trio_open(&t, is, n);
    trio_queue(&t, 0, is[0].n_rows);
    for (int i = 0; i < n; i++)
        check_against_reference(&t.p[i]);
    trio_close(&t);
}

/* Units that end within a weight, a weight of one output, biases of some, and what
 * cannot go together: f32, many rows, a weight that lies elsewhere. */
static void every_weight_gets_its_own_product(void **state)
{
    static const struct problem trios[][MATMUL_WEIGHTS] = {
        {{3, 200, 70, WEIGHT_BF16, 0, true, false},
         {3, 200, 1, WEIGHT_BF16, 0, false, false},
         {3, 200, 33, WEIGHT_BF16, 0, true, false}},
        {{9, 576, 32, WEIGHT_F16, 0, false, true},
         {9, 576, 64, WEIGHT_F16, 0, true, true},
         {9, 576, 31, WEIGHT_F16, 0, false, true}},
        {{2, 72, 9, WEIGHT_BF16, 0, true, false},
         {2, 72, 40, WEIGHT_BF16, 2, true, false},
         {2, 72, 5, WEIGHT_BF16, 0, false, false}},
        {{2, 64, 9, WEIGHT_F32, 0, true, false},
         {2, 64, 4, WEIGHT_F32, 0, false, false},
         {2, 64, 5, WEIGHT_F32, 0, true, false}},
        {{66, 64, 9, WEIGHT_F16, 0, true, true},
         {66, 64, 4, WEIGHT_F16, 0, false, true},
         {66, 64, 5, WEIGHT_F16, 0, true, true}},
    };

    for (size_t i = 0; i < sizeof trios / sizeof *trios; i++) {
        check_trio(trios[i], 3);
        check_trio(trios[i], 2);
    }
}

static void real_sizes_are_the_references(void **state)
{
    static const struct problem qkv[] = {{9, 4096, 4096, WEIGHT_BF16, 0, true, false},
                                         {9, 4096, 1024, WEIGHT_BF16, 0, true, false},
                                         {9, 4096, 1024, WEIGHT_BF16, 0, true, false}};

    if (is_shim)
        skip();
    check_trio(qkv, 3);
}

/* The same weights together with fewer rows; repeated, so that graphs of early
 * launches run: what a product reads must be what the one before it left. */
static void rows_have_the_same_bits_in_any_company(void **state)
{
    static const int counts[] = {1, 8, 17, 33};
    static const struct problem is[MATMUL_WEIGHTS] = {{33, 1096, 40, WEIGHT_BF16, 0, true, false},
                                                      {33, 1096, 65, WEIGHT_BF16, 0, false, false},
                                                      {33, 1096, 8, WEIGHT_BF16, 0, true, false}};
    struct trio t;
    float *want[MATMUL_WEIGHTS], *out;

    trio_open(&t, is, 3);
    trio_queue(&t, 0, 33);
    for (int i = 0; i < 3; i++)
        want[i] = product_result(&t.p[i]);
    for (int turn = 0; turn < 3; turn++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            for (int i = 0; i < 3; i++)
                product_reset(&t.p[i]);
            trio_queue(&t, 33 - counts[c], counts[c]);
            trio_queue(&t, 33 - counts[c], counts[c]);
            for (int i = 0; i < 3; i++) {
                size_t at = (size_t)(33 - counts[c]) * (size_t)is[i].n_out;
                size_t bytes = (size_t)counts[c] * (size_t)is[i].n_out * sizeof *out;
                out = product_result(&t.p[i]);
                assert_memory_equal(out + at, want[i] + at, bytes);
                free(out);
            }
        }
    for (int i = 0; i < 3; i++)
        free(want[i]);
    trio_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_weight_gets_its_own_product),
        cmocka_unit_test(real_sizes_are_the_references),
        cmocka_unit_test(rows_have_the_same_bits_in_any_company),
    };

    dev = device_data_open();
    is_shim = strstr(device_describe(dev), "shim") != NULL;
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return n_failed;
}
