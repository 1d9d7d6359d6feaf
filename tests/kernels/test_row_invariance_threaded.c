/* A row's bits depend neither on the rows beside it nor on threads. */
#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"

enum { MAX_ROWS = 512 };

struct shape {
    int n_in, n_out;
    enum weight_type type;
};

/* Each crosses a change of path within the row counts below: small and never
 * threaded, direct to block by elements, several steps of weights. */
static const struct shape shapes[] = {
    {40, 24, WEIGHT_F32}, {128, 136, WEIGHT_F16}, {1288, 50, WEIGHT_BF16}, {5000, 20, WEIGHT_F16}};
static const int row_counts[] = {1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 32, 33, 119, 120, 121, 512};

struct stack {
    float *x, *norm, *out;
};

/* matmul, rmsnorm and swiglu over the first n_rows of x, as a layer has them. */
static void run_stack(struct device *dev, const struct shape *s, const void *w, struct stack *k,
                      int n_rows)
{
    struct err err = {{0}};
    struct rmsnorm_args norm = {.out = k->norm,
                                .in = k->x,
                                .weight = w,
                                .type = s->type,
                                .n_rows = n_rows,
                                .n_cols = s->n_in,
                                .eps = 1e-5f};
    struct matmul_args mul = {.out = k->out,
                              .x = k->norm,
                              .w = w,
                              .type = s->type,
                              .n_rows = n_rows,
                              .n_in = s->n_in,
                              .n_out = s->n_out};
    struct swiglu_args act = {
        .out = k->out, .gate = k->out, .up = k->out, .n_rows = n_rows, .n_cols = s->n_out};

    assert_int_equal(device_ops(dev)->rmsnorm(dev, &norm, &err), ST_OK);
    assert_int_equal(device_ops(dev)->matmul(dev, &mul, &err), ST_OK);
    assert_int_equal(device_ops(dev)->swiglu(dev, &act, &err), ST_OK);
}

/* Runs every row count on 1, 2 and 3 threads against all rows on one. */
static void check_shape(const struct shape *s, bool portable)
{
    size_t in = (size_t)s->n_in, out = (size_t)s->n_out;
    void *w = data_weights(s->type, in * out, 3);
    struct stack k;
    float *want = malloc(MAX_ROWS * out * sizeof *want);

    k.x = malloc(MAX_ROWS * in * sizeof(float));
    k.norm = malloc(MAX_ROWS * in * sizeof(float));
    k.out = malloc(MAX_ROWS * out * sizeof(float));
    data_fill(k.x, MAX_ROWS * in, 5);
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        struct device *dev = data_device(n_threads, portable);

        if (n_threads == 1) {
            run_stack(dev, s, w, &k, MAX_ROWS);
            memcpy(want, k.out, MAX_ROWS * out * sizeof *want);
        }
        for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
            run_stack(dev, s, w, &k, row_counts[i]);
            if (memcmp(k.out, want, (size_t)row_counts[i] * out * sizeof *want) != 0)
                fail_msg("%d rows of %d -> %d on %s differ from the same rows of %d", row_counts[i],
                         s->n_in, s->n_out, device_describe(dev), MAX_ROWS);
        }
        device_close(dev);
    }
    free(k.out);
    free(k.norm);
    free(k.x);
    free(want);
    data_weights_free(w);
}

static void rows_have_the_same_bits_in_any_company_with_vectors(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_shape(&shapes[i], false);
}

static void rows_have_the_same_bits_in_any_company_portably(void **state)
{
    for (size_t i = 0; i < 3; i++)
        check_shape(&shapes[i], true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_same_bits_in_any_company_with_vectors),
        cmocka_unit_test(rows_have_the_same_bits_in_any_company_portably),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
