#include "tests/cuda/device_pages.h"

static struct device *dev;

struct shape {
    int n_rows, n_heads, n_kv_heads, head_dim;
    uint32_t n_sinks, n_window, first_pos;
};

struct window {
    struct window_attention_args a; /* pointers are the host's */
    uint32_t pos[40];
    size_t n_q, n_kv, n_table; /* floats */
};

static void window_open(struct window *w, const struct shape *s)
{
    size_t half = (size_t)s->head_dim / 2, positions = s->n_sinks + s->n_window;
    uint32_t ring = s->n_window + (uint32_t)s->n_rows + 5;
    float *cosine, *sine;

    w->n_q = (size_t)s->n_rows * (size_t)s->n_heads * (size_t)s->head_dim;
    w->n_kv = (size_t)(s->n_sinks + ring) * (size_t)s->n_kv_heads * (size_t)s->head_dim;
    w->n_table = positions * half;
    cosine = mem_array(w->n_table, sizeof *cosine);
    sine = mem_array(w->n_table, sizeof *sine);
    for (size_t i = 0; i < w->n_table; i++) {
        double angle = (double)(i / half) * pow(10000.0, -(double)(i % half) / (double)half);
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
    for (int r = 0; r < s->n_rows; r++)
        w->pos[r] = s->first_pos + (uint32_t)r;
    w->a = (struct window_attention_args){.q = kv_fixture_normals(1, w->n_q),
                                          .k = kv_fixture_normals(2, w->n_kv),
                                          .v = kv_fixture_normals(3, w->n_kv),
                                          .cos = cosine,
                                          .sin = sine,
                                          .pos = w->pos,
                                          .n_rows = s->n_rows,
                                          .n_heads = s->n_heads,
                                          .n_kv_heads = s->n_kv_heads,
                                          .head_dim = s->head_dim,
                                          .n_sinks = s->n_sinks,
                                          .n_window = s->n_window,
                                          .n_ring = ring,
                                          .scale = 1.0f / sqrtf((float)s->head_dim)};
}

static void window_close(struct window *w)
{
    free((void *)(uintptr_t)w->a.q);
    free((void *)(uintptr_t)w->a.k);
    free((void *)(uintptr_t)w->a.v);
    free((void *)(uintptr_t)w->a.cos);
    free((void *)(uintptr_t)w->a.sin);
}

static struct window_attention_args on_device(const struct window *w)
{
    struct window_attention_args a = w->a;

    a.q = device_data_copy(dev, a.q, w->n_q * sizeof(float));
    a.k = device_data_copy(dev, a.k, w->n_kv * sizeof(float));
    a.v = device_data_copy(dev, a.v, w->n_kv * sizeof(float));
    a.cos = device_data_copy(dev, a.cos, w->n_table * sizeof(float));
    a.sin = device_data_copy(dev, a.sin, w->n_table * sizeof(float));
    return a;
}

static void check(struct shape s)
{
    struct window w;

    window_open(&w, &s);
    size_t bytes = w.n_q * sizeof(float), row = w.n_q / (size_t)s.n_rows;
    float *want = malloc(bytes), *got = malloc(bytes), *alone = malloc(bytes);
    struct window_attention_args a = on_device(&w), one = a;
    w.a.out = want;
    window_attention_ref(&w.a);
    a.out = device_data_output(dev, bytes);
    assert_ok(device_ops(dev)->window_attention(dev, &a, err));
    device_data_close(dev, a.out, bytes, got);
    /* Values of order 1, scores of order 3, f32 sums of a few hundred terms. */
    for (size_t i = 0; i < w.n_q; i++)
        assert_close(got[i], want[i], 2e-5);
    /* A row alone has the same bits. */
    one.out = device_data_output(dev, row * sizeof(float));
    one.q += row * (size_t)(s.n_rows - 1);
    one.pos += s.n_rows - 1;
    one.n_rows = 1;
    assert_ok(device_ops(dev)->window_attention(dev, &one, err));
    device_data_close(dev, one.out, row * sizeof(float), alone);
    assert_memory_equal(alone, got + row * (size_t)(s.n_rows - 1), row * sizeof(float));
    device_data_drop(dev, a.q, 0);
    device_data_drop(dev, a.k, 0);
    device_data_drop(dev, a.v, 0);
    device_data_drop(dev, a.cos, 0);
    device_data_drop(dev, a.sin, 0);
    free(want);
    free(got);
    free(alone);
    window_close(&w);
}

static void every_position_and_shape_matches_the_reference(void **state)
{
    static const uint32_t first[] = {0, 3, 4, 5, 30, 32, 33, 36, 37, 100, 100000};

    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        check((struct shape){3, 4, 2, 32, 4, 32, first[i]});
        check((struct shape){2, 3, 1, 24, 4, 33, first[i]});
        check((struct shape){1, 2, 2, 8, 4, 31, first[i]});
    }
    check((struct shape){9, 2, 2, 64, 16, 232, 240});
    check((struct shape){1, 1, 1, 256, 16, 100, 1000});
    check((struct shape){2, 2, 1, 136, 0, 40, 77});
}

static void what_does_not_fit_is_refused_in_words(void **state)
{
    struct window_attention_args a = {.n_rows = 0,
                                      .n_heads = 2,
                                      .n_kv_heads = 1,
                                      .head_dim = 12,
                                      .n_sinks = 4,
                                      .n_window = 8,
                                      .n_ring = 9};
    struct err words = {{0}};

    assert_int_equal(device_ops(dev)->window_attention(dev, &a, &words), ST_INVALID);
    a.head_dim = 16;
    assert_ok(device_ops(dev)->window_attention(dev, &a, err));
    a.n_window = a.n_ring = 1u << 20;
    assert_int_equal(device_ops(dev)->window_attention(dev, &a, &words), ST_INVALID);
    assert_non_null(strstr(words.text, "shared memory"));
    a.n_window = 0;
    assert_int_equal(device_ops(dev)->window_attention(dev, &a, &words), ST_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_position_and_shape_matches_the_reference),
        cmocka_unit_test(what_does_not_fit_is_refused_in_words),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
