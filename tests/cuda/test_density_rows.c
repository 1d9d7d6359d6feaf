#include "common/mem.h"
#include "tests/cuda/device_data.h"

static struct device *dev;

static uint32_t *scratch_of(uint32_t n)
{
    return mem_array(n, sizeof(uint32_t));
}

/* Steep, middling, flat, and coarse laws: the last is full of ties. */
static void fill_logits(float *logits, uint32_t n, int kind, uint32_t seed)
{
    static const float scale[] = {30, 5, 0.01f, 2};

    data_fill(logits, n, seed);
    for (uint32_t i = 0; i < n; i++)
        logits[i] = kind == 3 ? rintf(logits[i] * scale[3]) : logits[i] * scale[kind] - 3;
}

static void run(float *p, const float *logits, int n_rows, uint32_t n, struct density_params law)
{
    size_t bytes = (size_t)n_rows * n * sizeof(float);
    void *d_logits = device_data_copy(dev, logits, bytes);
    struct density_rows_args a = {device_data_output(dev, bytes), d_logits, n_rows, (int)n, law};

    assert_ok(device_ops(dev)->density_rows(dev, &a, err));
    device_data_close(dev, a.p, bytes, p);
    device_data_drop(dev, d_logits, 0);
}

/* The mass of what is before token i in the order of the cut, of 1. */
static double mass_before(const double *p, const float *logits, uint32_t n, uint32_t i)
{
    double sum = 0;

    for (uint32_t j = 0; j < n; j++)
        if (logits[j] > logits[i] || (logits[j] == logits[i] && j < i))
            sum += p[j];
    return sum;
}

/* The law that no cut has touched, in double. */
static void whole_law(double *p, const float *logits, uint32_t n, double temperature)
{
    double highest = logits[density_argmax(logits, n)], total = 0;

    for (uint32_t i = 0; i < n; i++)
        total += p[i] = exp((logits[i] - highest) / temperature);
    for (uint32_t i = 0; i < n; i++)
        p[i] /= total;
}

static void check_law(const float *logits, uint32_t n, struct density_params law)
{
    float *got = malloc(n * sizeof *got), *want = malloc(n * sizeof *want);
    double *whole = malloc(n * sizeof *whole), sum = 0;
    uint32_t *scratch = scratch_of(n), n_unlike = 0;

    assert_ok(density_from_logits(want, logits, n, &law, scratch, err));
    run(got, logits, 1, n, law);
    if (law.temperature > 0)
        whole_law(whole, logits, n, law.temperature);
    for (uint32_t i = 0; i < n; i++) {
        sum += (double)got[i];
        if ((got[i] > 0) == (want[i] > 0)) {
            assert_close(got[i], want[i], 1e-6);
            continue;
        }
        /* In one and out of the other: only where rounding of the sum decides,
         * or where the mass is too small for a float. */
        double before = mass_before(whole, logits, n, i);
        if (whole[i] > 1e-37 && fabs(before - law.top_p) > 1e-5 && ++n_unlike < 4)
            print_message("n %u top_p %g: token %u of mass %g after %g is %s\n", n, law.top_p, i,
                          whole[i], before, got[i] > 0 ? "in" : "out");
    }
    assert_int_equal(n_unlike, 0);
    assert_close(sum, 1, 1e-5);
    free(scratch);
    free(whole);
    free(want);
    free(got);
}

static void laws_are_those_of_the_host(void **state)
{
    static const uint32_t sizes[] = {1, 7, 1025, 5000};
    static const double tops[] = {1e-9, 0.5, 0.9, 0.999, 1};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int kind = 0; kind < 4; kind++) {
            float *logits = malloc(sizes[s] * sizeof *logits);
            fill_logits(logits, sizes[s], kind, sizes[s] + (uint32_t)kind);
            for (size_t t = (s + (size_t)kind) % 3; t < sizeof tops / sizeof *tops; t += 3)
                check_law(logits, sizes[s], (struct density_params){t % 2 ? 0.6 : 1.3, tops[t]});
            if (kind == 3)
                check_law(logits, sizes[s], (struct density_params){0, 0.9});
            free(logits);
        }
}

/* Too many candidates for shared memory, and the largest vocabularies in use. */
static void large_vocabularies_take_either_way(void **state)
{
    static const struct {
        uint32_t n;
        int kind;
        double top_p;
    } cases[] = {{32000, 1, 0.9}, {8000, 2, 0.9}, {152064, 0, 0.9}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *logits = malloc(cases[i].n * sizeof *logits);
        fill_logits(logits, cases[i].n, cases[i].kind, 77);
        check_law(logits, cases[i].n, (struct density_params){0.6, cases[i].top_p});
        free(logits);
    }
}

static void ties_are_cut_by_lower_id(void **state)
{
    static const float equal[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    static const float zeros[4] = {-0.0f, 0.0f, -0.0f, -5};
    float p[8], *many = malloc(9000 * sizeof *many), *q = malloc(9000 * sizeof *q);

    run(p, equal, 1, 8, (struct density_params){0.7, 0.5}); /* 4 of 8 reach exactly one half */
    for (int i = 0; i < 8; i++)
        assert_close(p[i], i < 4 ? 0.25 : 0, 0);
    run(p, equal, 1, 8, (struct density_params){0.7, 0.51}); /* the token that crosses is in */
    for (int i = 0; i < 8; i++)
        assert_close(p[i], i < 5 ? 0.2 : 0, 1e-7);
    run(p, zeros, 1, 4, (struct density_params){1, 0.5}); /* -0 and 0 are one logit */
    assert_close(p[0], 0.5, 0);
    assert_close(p[1], 0.5, 0);
    assert_close(p[2], 0, 0);
    for (int i = 0; i < 9000; i++)
        many[i] = i % 2 ? -INFINITY : 2;
    run(q, many, 1, 9000, (struct density_params){1, 0.5}); /* 2250 of the 4500 even ones */
    for (int i = 0; i < 9000; i++)
        assert_close(q[i], i % 2 == 0 && i < 4500 ? 1 / 2250.0 : 0, 1e-9);
    free(many);
    free(q);
}

static void cold_laws_are_the_first_argmax(void **state)
{
    static const float logits[5] = {-INFINITY, 2, 7, 7, 3};
    float p[5];

    run(p, logits, 1, 5, (struct density_params){0, 0.9});
    for (int i = 0; i < 5; i++)
        assert_close(p[i], i == 2, 0);
    run(p, logits, 1, 5, (struct density_params){1e-300, 1}); /* no NaN */
    assert_close(p[2], 0.5, 0);
    assert_close(p[3], 0.5, 0);
    assert_close(p[4], 0, 0);
}

static void rows_without_a_law_are_marked_and_others_not_touched(void **state)
{
    enum { N = 1500, ROWS = 5 };
    static const double temperatures[] = {0, 0.7};
    float *logits = malloc(ROWS * N * sizeof *logits), *p = malloc(ROWS * N * sizeof *p);
    float *alone = malloc(N * sizeof *alone);

    data_fill(logits, ROWS * N, 5);
    logits[0 * N + 1400] = NAN;
    logits[2 * N + 3] = INFINITY;
    for (int i = 0; i < N; i++)
        logits[3 * N + i] = -INFINITY;
    for (int t = 0; t < 2; t++) {
        struct density_params law = {temperatures[t], 0.9};
        run(p, logits, ROWS, N, law);
        for (int r = 0; r < ROWS; r++) {
            if (r != 1 && r != 4) {
                assert_true(isnan(p[r * N]));
                continue;
            }
            run(alone, logits + (size_t)r * N, 1, N, law); /* the same bits alone */
            assert_memory_equal(alone, p + (size_t)r * N, N * sizeof *p);
        }
    }
    free(logits);
    free(p);
    free(alone);
}

static void impossible_settings_are_refused_in_words(void **state)
{
    static const struct {
        int n_vocab;
        struct density_params law;
    } cases[] = {{2, {-1, 0.9}}, {2, {1, 0}}, {2, {1, 1.5}}, {0, {1, 0.9}}};
    struct density_rows_args none = {NULL, NULL, 0, 2, {1, 1}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err words = {{0}};
        struct density_rows_args a = {NULL, NULL, 1, cases[i].n_vocab, cases[i].law};
        assert_int_equal(device_ops(dev)->density_rows(dev, &a, &words), ST_INVALID);
        assert_true(strlen(words.text) > 10);
    }
    assert_ok(device_ops(dev)->density_rows(dev, &none, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(laws_are_those_of_the_host),
        cmocka_unit_test(large_vocabularies_take_either_way),
        cmocka_unit_test(ties_are_cut_by_lower_id),
        cmocka_unit_test(cold_laws_are_the_first_argmax),
        cmocka_unit_test(rows_without_a_law_are_marked_and_others_not_touched),
        cmocka_unit_test(impossible_settings_are_refused_in_words),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
