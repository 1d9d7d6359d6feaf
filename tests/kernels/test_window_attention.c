#include "kernels/window_attention.h"

#include "kernels/device.h"
#include "kernels/ops.h"
#include "tests/kernels/kv_fixture.h"
#include "tests/test_helpers.h"

struct window {
    struct window_attention_args a;
    float *q, *k, *v, *cos, *sin;
    uint32_t pos[40];
    size_t n_out;
};

static void window_open(struct window *w, int n_rows, int n_heads, int n_kv, int head_dim,
                        uint32_t first_pos)
{
    const uint32_t sinks = 16, window = 232, ring = 240 + (uint32_t)n_rows;
    size_t half = (size_t)head_dim / 2, positions = sinks + window;
    size_t n_k = (size_t)(sinks + ring) * (size_t)n_kv * (size_t)head_dim;

    w->n_out = (size_t)n_rows * (size_t)n_heads * (size_t)head_dim;
    w->q = kv_fixture_normals(1, w->n_out);
    w->k = kv_fixture_normals(2, n_k);
    w->v = kv_fixture_normals(3, n_k);
    w->cos = mem_array(positions * half, sizeof(float));
    w->sin = mem_array(positions * half, sizeof(float));
    for (size_t p = 0; p < positions; p++)
        for (size_t i = 0; i < half; i++) {
            double angle = (double)p * pow(10000.0, -(double)i / (double)half);
            w->cos[p * half + i] = (float)cos(angle);
            w->sin[p * half + i] = (float)sin(angle);
        }
    for (int r = 0; r < n_rows; r++)
        w->pos[r] = first_pos + (uint32_t)r;
    w->a = (struct window_attention_args){.q = w->q,
                                          .k = w->k,
                                          .v = w->v,
                                          .cos = w->cos,
                                          .sin = w->sin,
                                          .pos = w->pos,
                                          .n_rows = n_rows,
                                          .n_heads = n_heads,
                                          .n_kv_heads = n_kv,
                                          .head_dim = head_dim,
                                          .n_sinks = sinks,
                                          .n_window = window,
                                          .n_ring = ring,
                                          .scale = 1.0f / sqrtf((float)head_dim)};
}

static void window_close(struct window *w)
{
    free(w->q);
    free(w->k);
    free(w->v);
    free(w->cos);
    free(w->sin);
}

static struct device *open_cpu(int n_threads, bool portable)
{
    struct device_options opt = {.n_threads = n_threads, .portable = portable};
    struct device *dev = NULL;
    struct err err = {{0}};
    if (device_open(&dev, "cpu:0", &opt, &err) != ST_OK)
        fail_msg("%s", err.text);
    return dev;
}

static void compare(int n_rows, int n_heads, int n_kv, int head_dim, uint32_t first_pos)
{
    struct window w;
    struct err err = {{0}};
    window_open(&w, n_rows, n_heads, n_kv, head_dim, first_pos);
    size_t bytes = w.n_out * sizeof(float);
    float *want = kv_guard_open(bytes);
    w.a.out = want;
    window_attention_ref(&w.a);
    for (int portable = 0; portable < 2; portable++) {
        struct device *dev = open_cpu(2, portable);
        float *got = w.a.out = kv_guard_open(bytes);
        assert_int_equal(device_ops(dev)->window_attention(dev, &w.a, &err), ST_OK);
        /* Values of order 1, scores of order 3, f32 sums of 248 terms. */
        for (size_t i = 0; i < w.n_out; i++)
            assert_close(got[i], want[i], 2e-5);
        /* A row alone has the same bits. */
        struct window_attention_args one = w.a;
        size_t row = w.n_out / (size_t)n_rows;
        float *alone = one.out = kv_guard_open(row * sizeof(float));
        one.q += row * (size_t)(n_rows - 1);
        one.pos += n_rows - 1;
        one.n_rows = 1;
        assert_int_equal(device_ops(dev)->window_attention(dev, &one, &err), ST_OK);
        assert_memory_equal(alone, got + row * (size_t)(n_rows - 1), row * sizeof(float));
        kv_guard_close(alone, row * sizeof(float));
        kv_guard_close(got, bytes);
        device_close(dev);
    }
    kv_guard_close(want, bytes);
    window_close(&w);
}

static void every_position_and_shape_matches_the_reference(void **state)
{
    const uint32_t first[] = {0, 10, 15, 16, 17, 240, 247, 248, 255, 256, 480, 100000};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        compare(9, 4, 2, 32, first[i]);
        compare(1, 6, 6, 64, first[i]);
        compare(2, 8, 1, 24, first[i]);
        compare(3, 2, 2, 8, first[i]);
    }
    compare(33, 12, 12, 64, 230);
}

/* Written out by hand: one sink, a window of 2, heads of 2 dimensions, rotation
 * by a quarter turn per position. */
static void a_tiny_window_is_what_one_works_out_by_hand(void **state)
{
    const float cosine[3] = {1, 0, -1}, sine[3] = {0, 1, 0};
    float k[5 * 2] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, v[5 * 2] = {1, 10, 0, 0, 0, 0, 0, 0, 0, 0};
    float q[2] = {0, 2}, out[2];
    uint32_t pos[1] = {7}; /* sees 0, 6, 7; ring of 4: slots 1 + 5 % 4, 1 + 6 % 4 */
    k[2 * 2] = 1.0f;       /* token 6, position 1: rotated to (0, 1) */
    v[2 * 2] = 2.0f;
    k[3 * 2 + 1] = 1.0f; /* token 7, position 2: rotated to (0, -1) */
    v[3 * 2] = 3.0f;
    struct window_attention_args a = {out, q, k, v, cosine, sine, pos, 1, 1, 1, 2, 1, 2, 4, 1.0f};
    window_attention_ref(&a);
    /* q rotated to position 2 is (0, -2): scores 0, -2, 2. */
    double e0 = 1.0, e1 = exp(-2.0), e2 = exp(2.0), sum = e0 + e1 + e2;
    assert_close(out[0], (e0 * 1 + e1 * 2 + e2 * 3) / sum, 1e-6);
    assert_close(out[1], e0 * 10 / sum, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tiny_window_is_what_one_works_out_by_hand),
        cmocka_unit_test(every_position_and_shape_matches_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
