/*
 * The turn against a matrix product, what it leaves alone, and what it does to
 * the rounding of K: the last case prints the figures of docs/fidelity.md.
 */
#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"
#include "tests/kernels/kv_fixture.h"

static void run(struct device *dev, const struct hadamard_args *a)
{
    struct err err = {{0}};

    assert_int_equal(device_ops(dev)->hadamard(dev, a, &err), ST_OK);
}

static void make_signs(float *sign, uint32_t n, uint64_t seed)
{
    for (uint32_t i = 0; i < n; i++)
        sign[i] = rng_uniform(seed, RNG_TEST, i, 0) < 0.5 ? -1.0f : 1.0f;
}

static void reference_is_what_a_hand_computes(void **state)
{
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 9}, sign[8] = {1, 1, 1, 1, 1, 1, 1, -1};
    struct hadamard_args a = {x, NULL, 1, 8};

    hadamard_ref(&a);
    assert_close(x[0], 37 / sqrt(8), 1e-6);
    assert_close(x[1], -5 / sqrt(8), 1e-6);  /* 1-2+3-4+5-6+7-9 */
    assert_close(x[4], -17 / sqrt(8), 1e-6); /* 1+2+3+4-5-6-7-9 */
    assert_close(x[7], -1 / sqrt(8), 1e-6);  /* 1-2-3+4-5+6+7-9 */
    for (int i = 0; i < 8; i++)
        x[i] = (float)i;
    a.sign = sign;
    hadamard_ref(&a);
    assert_close(x[0], 14 / sqrt(8), 1e-6); /* 0 + 1 + ... + 6 - 7 */
}

static void a_block_is_the_largest_power_of_two_that_divides(void **state)
{
    assert_int_equal(hadamard_block(8), 8);
    assert_int_equal(hadamard_block(64), 64);
    assert_int_equal(hadamard_block(80), 16);
    assert_int_equal(hadamard_block(96), 32);
    assert_int_equal(hadamard_block(200), 8);
    assert_int_equal(hadamard_block(256), 256);
}

static void check_size(struct device *dev, int n_vectors, int head_dim, bool with_signs)
{
    size_t n = (size_t)n_vectors * (size_t)head_dim;
    float *ref = malloc(n * sizeof *ref), *start = malloc(n * sizeof *start);
    float sign[KV_MAX_HEAD_DIM];
    struct guarded out;

    guarded_init(&out, n);
    data_fill(start, n, (uint32_t)(n_vectors + head_dim));
    memcpy(ref, start, n * sizeof *ref);
    memcpy(out.p, start, n * sizeof *ref);
    make_signs(sign, (uint32_t)head_dim, 5);
    struct hadamard_args a = {out.p, with_signs ? sign : NULL, n_vectors, head_dim};
    run(dev, &a);
    a.x = ref;
    hadamard_ref(&a);
    /* At most 8 additions in a chain of numbers below sqrt(256), one product. */
    for (size_t i = 0; i < n; i++)
        assert_close(out.p[i], ref[i], 16 * 9 * 0x1p-24);
    /* The inverse: H, then the signs. */
    a.x = out.p;
    a.sign = NULL;
    run(dev, &a);
    for (size_t i = 0; i < n; i++)
        assert_close(out.p[i] * (with_signs ? sign[i % (size_t)head_dim] : 1), start[i], 1e-5);
    guarded_release(&out);
    free(start);
    free(ref);
}

static void it_is_near_the_matrix_product_and_its_own_inverse(void **state)
{
    static const int dims[] = {8, 16, 24, 64, 80, 96, 128, 200, 256};
    struct device *dev = data_device(2, false);

    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (int signs = 0; signs < 2; signs++) {
            check_size(dev, 1, dims[d], signs);
            check_size(dev, 7, dims[d], signs);
        }
    check_size(dev, 2000, 80, true); /* enough for several threads */
    struct hadamard_args none = {.head_dim = 8};
    run(dev, &none);
    device_close(dev);
}

/* K with one channel that is `outlier` times larger or has `offset` added to
 * it, and q with that channel `q_factor` times larger. */
struct keys {
    const char *what;
    float outlier, offset, q_factor;
};

enum { DIM = 64, OUTLIER_CHANNEL = 19 };

/* Root mean square of q . (k - sealed k) over all pairs of 64 queries and the
 * 128 keys of a page, in units of the root mean square of q . k. */
static double logit_error(const struct keys *c, enum kv_format format, bool turned)
{
    struct kv_shape shape = {1, DIM};
    float *k = kv_fixture_normals(11, (size_t)PAGE_TOKENS * DIM);
    float *q = kv_fixture_normals(12, (size_t)64 * DIM), row[DIM];
    void *page = mem_aligned(64, kv_page_bytes(format, shape));
    double error = 0, all = 0;

    for (size_t t = 0; t < PAGE_TOKENS; t++)
        k[t * DIM + OUTLIER_CHANNEL] = k[t * DIM + OUTLIER_CHANNEL] * c->outlier + c->offset;
    for (size_t i = 0; i < 64; i++)
        q[i * DIM + OUTLIER_CHANNEL] *= c->q_factor;
    struct hadamard_args turn = {k, NULL, PAGE_TOKENS, DIM};
    if (turned) {
        hadamard_ref(&turn);
        turn = (struct hadamard_args){q, NULL, 64, DIM};
        hadamard_ref(&turn);
    }
    kv_format_ops(format)->seal(page, DIM, k, k);
    for (uint32_t t = 0; t < PAGE_TOKENS; t++) {
        kv_format_ops(format)->get_k(page, DIM, t, row);
        for (size_t i = 0; i < 64; i++) {
            double e = 0, s = 0;
            for (size_t d = 0; d < DIM; d++) {
                e += (double)q[i * DIM + d] * ((double)k[t * DIM + d] - (double)row[d]);
                s += (double)q[i * DIM + d] * (double)k[t * DIM + d];
            }
            error += e * e;
            all += s * s;
        }
    }
    free(page);
    free(q);
    free(k);
    return sqrt(error / all);
}

static void a_turn_spreads_an_outlier_channel_over_all(void **state)
{
    static const struct keys cases[] = {
        {"all channels alike", 1, 0, 1},          {"one channel of K 50x", 50, 0, 1},
        {"the same, q there 1/50", 50, 0, 0.02f}, {"the same, q there 7x", 50, 0, 7},
        {"one channel of K plus 50", 1, 50, 1},
    };
    enum { ALIKE, LARGE, Q_SMALL, Q_LARGE, OFFSET, N };
    double plain[N], turned[N];

    for (int i = 0; i < N; i++) {
        plain[i] = logit_error(&cases[i], KV_INT4, false);
        turned[i] = logit_error(&cases[i], KV_INT4, true);
        printf("%-24s int4 K, relative error of q . k: %.4f plain, %.4f turned\n", cases[i].what,
               plain[i], turned[i]);
    }
    /* Scales are per channel: a large channel costs the others nothing until
     * the turn spreads its error, and a constant costs nothing either way. */
    assert_close(turned[ALIKE], plain[ALIKE], 0.2 * plain[ALIKE]);
    assert_true(turned[Q_SMALL] > 4 * plain[Q_SMALL]);
    assert_close(turned[OFFSET], plain[OFFSET], 0.2 * plain[OFFSET]);
    /* Where q and K are large together, the turn shares out that error. */
    assert_true(turned[Q_LARGE] < 0.8 * plain[Q_LARGE]);
}

/* softmax(q . k) v with turned q and k, over f32 pages that nothing rounds. */
static void attention_over_turned_q_and_k_is_the_same(void **state)
{
    struct kv_shape shape = {2, 80};
    enum { N_PAGES = 3, ROWS = 5, HEADS = 4 };
    struct device *dev = data_device(1, false);
    struct kv_fixture f;
    uint32_t limit[ROWS] = {1, 100, 128, 129, 384};
    size_t n = (size_t)ROWS * HEADS * 80;
    float *q = kv_fixture_normals(3, n), *out = mem_array(n, sizeof *out);
    float *turned_out = mem_array(n, sizeof *out), sign[80], row[80];
    struct err err = {{0}};

    kv_fixture_open(&f, shape, N_PAGES, KV_F32, KV_F32, 77);
    make_signs(sign, 80, 6);
    struct attention_args a = {.out = out,
                               .q = q,
                               .limit = limit,
                               .n_rows = ROWS,
                               .n_heads = HEADS,
                               .scale = 0.01f,
                               .view = &f.view};
    assert_int_equal(device_ops(dev)->attention(dev, &a, &err), ST_OK);
    for (size_t i = 0; i < (size_t)N_PAGES * 2 * PAGE_TOKENS * 2; i++) {
        uint32_t t = (uint32_t)(i / 2 % PAGE_TOKENS), h = (uint32_t)(i / 2 / PAGE_TOKENS % 2);
        void *page = i % 2 ? f.sealed[i / 4 / PAGE_TOKENS] : f.tail[i / 4 / PAGE_TOKENS];
        void *head = kv_layout_head_mut(page, KV_F32, shape, h);
        struct hadamard_args turn = {row, sign, 1, 80};
        kv_format_ops(KV_F32)->get_k(head, 80, t, row);
        run(dev, &turn);
        kv_format_ops(KV_F32)->put_k(head, 80, t, row);
    }
    struct hadamard_args turn = {q, sign, ROWS * HEADS, 80};
    run(dev, &turn);
    a.out = turned_out;
    assert_int_equal(device_ops(dev)->attention(dev, &a, &err), ST_OK);
    /* Logits of up to 0.01 * 20 * 80 move by some 2^-20 each. */
    for (size_t i = 0; i < n; i++)
        assert_close(turned_out[i], out[i], 1e-4);
    kv_fixture_close(&f);
    free(q);
    free(out);
    free(turned_out);
    device_close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_is_what_a_hand_computes),
        cmocka_unit_test(a_block_is_the_largest_power_of_two_that_divides),
        cmocka_unit_test(it_is_near_the_matrix_product_and_its_own_inverse),
        cmocka_unit_test(attention_over_turned_q_and_k_is_the_same),
        cmocka_unit_test(a_turn_spreads_an_outlier_channel_over_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
