#include "kernels/density.h"

#include "common/clock.h"
#include "common/rng.h"
#include "tests/kernels/kernel_data.h"

static void density_of(float *p, const float *logits, uint32_t n, double temperature, double top_p)
{
    struct density_params params = {temperature, top_p};
    uint32_t *scratch = malloc(n * sizeof *scratch);
    struct err err = {{0}};

    if (density_from_logits(p, logits, n, &params, scratch, &err) != ST_OK)
        fail_msg("%s", err.text);
    free(scratch);
}

struct ranked {
    float logit;
    uint32_t id;
};

static int rank_cmp(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The definition: a full sort, sums in double. */
static void by_sorting(double *p, const float *logits, uint32_t n, double temperature, double top_p)
{
    struct ranked *r = malloc(n * sizeof *r);
    double total = 0, reached = 0;
    uint32_t n_in = 0;

    for (uint32_t i = 0; i < n; i++)
        r[i] = (struct ranked){logits[i], i};
    qsort(r, n, sizeof *r, rank_cmp);
    for (uint32_t i = 0; i < n; i++) {
        p[r[i].id] = exp((r[i].logit - (double)r[0].logit) / temperature);
        total += p[r[i].id];
    }
    /* At 1 all are in, though the smallest no longer change the sum. */
    while (n_in < n && (n_in == 0 || top_p == 1 || reached < top_p * total))
        reached += p[r[n_in++].id];
    for (uint32_t i = 0; i < n; i++)
        p[r[i].id] = i < n_in ? p[r[i].id] / reached : 0;
    free(r);
}

/* Steep, middling, flat, and coarse laws: the last is full of ties. */
static void fill_logits(float *logits, uint32_t n, int kind, uint32_t seed)
{
    static const float scale[] = {30, 5, 0.01f, 2};

    data_fill(logits, n, seed);
    for (uint32_t i = 0; i < n; i++)
        logits[i] = kind == 3 ? rintf(logits[i] * scale[3]) : logits[i] * scale[kind] - 3;
}

static void check_law(uint32_t n, int kind, double temperature, double top_p)
{
    float *logits = malloc(n * sizeof *logits);
    double *want = malloc(n * sizeof *want), sum = 0;
    struct guarded p;

    fill_logits(logits, n, kind, n + (uint32_t)kind);
    guarded_init(&p, n);
    density_of(p.p, logits, n, temperature, top_p);
    by_sorting(want, logits, n, temperature, top_p);
    for (uint32_t i = 0; i < n; i++) {
        if ((p.p[i] > 0) != (want[i] > 0) && want[i] > 0 && want[i] < 0x1p-148)
            continue; /* in, but too small for a float */
        if ((p.p[i] > 0) != (want[i] > 0))
            fail_msg("n %u kind %d top_p %g: token %u is %s", n, kind, top_p, i,
                     p.p[i] > 0 ? "in, must be out" : "out, must be in");
        /* x of exp(x) is rounded to float once: |x| 2^-24; then two roundings,
         * of subnormals to steps of 2^-149. */
        assert_close(p.p[i], want[i], want[i] * (60 / temperature + 4) * 0x1p-24 + 2 * 0x1p-149);
        sum += p.p[i];
    }
    assert_close(sum, 1, 1e-6);
    guarded_release(&p);
    free(want);
    free(logits);
}

static void law_is_that_of_a_full_sort(void **state)
{
    static const uint32_t sizes[] = {1, 2, 7, 100, 5000, 32000};
    static const double tops[] = {1e-9, 0.1, 0.5, 0.9, 0.999, 1};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int kind = 0; kind < 4; kind++)
            for (size_t t = 0; t < sizeof tops / sizeof *tops; t++)
                check_law(sizes[s], kind, t % 2 ? 0.6 : 1.3, tops[t]);
}

static void ties_are_cut_by_lower_id(void **state)
{
    const float equal[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    const float zeros[4] = {-0.0f, 0.0f, -0.0f, -5};
    float p[8];

    density_of(p, equal, 8, 0.7, 0.5); /* 4 of 8 reach exactly one half */
    for (int i = 0; i < 8; i++)
        assert_close(p[i], i < 4 ? 0.25 : 0, 0);
    density_of(p, equal, 8, 0.7, 0.51); /* the token that crosses is in */
    for (int i = 0; i < 8; i++)
        assert_close(p[i], i < 5 ? 0.2 : 0, 1e-7);
    density_of(p, zeros, 4, 1, 0.5); /* -0 and 0 are one logit */
    assert_close(p[0], 0.5, 0);
    assert_close(p[1], 0.5, 0);
    assert_close(p[2], 0, 0);
}

static void temperature_zero_is_the_first_argmax(void **state)
{
    const float logits[5] = {-INFINITY, 2, 7, 7, 3};
    float p[5];

    density_of(p, logits, 5, 0, 0.9);
    for (int i = 0; i < 5; i++)
        assert_close(p[i], i == 2, 0);
    density_of(p, logits, 5, 1e-300, 1); /* as cold as a double gets: no NaN */
    assert_close(p[2], 0.5, 0);
    assert_close(p[4], 0, 0);
}

static void broken_logits_and_settings_are_refused_in_words(void **state)
{
    static const struct {
        float logit[3];
        struct density_params params;
        enum status st;
    } cases[] = {
        {{1, NAN, 2}, {1, 0.9}, ST_CORRUPT},
        {{1, NAN, 2}, {0, 0.9}, ST_CORRUPT},
        {{1, INFINITY, 2}, {1, 0.9}, ST_CORRUPT},
        {{-INFINITY, -INFINITY, -INFINITY}, {1, 0.9}, ST_CORRUPT},
        {{1, 2, 3}, {-1, 0.9}, ST_INVALID},
        {{1, 2, 3}, {NAN, 0.9}, ST_INVALID},
        {{1, 2, 3}, {1, 0}, ST_INVALID},
        {{1, 2, 3}, {1, 1.01}, ST_INVALID},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float p[3];
        uint32_t scratch[3];
        struct err err = {{0}};
        assert_int_equal(density_from_logits(p, cases[i].logit, 3, &cases[i].params, scratch, &err),
                         cases[i].st);
        assert_true(strlen(err.text) > 10);
    }
}

static void pick_inverts_the_cumulative_sum(void **state)
{
    const float p[6] = {0, 0.25f, 0, 0.5f, 0.25f, 0};

    assert_int_equal(density_pick(p, 6, 0), 1);
    assert_int_equal(density_pick(p, 6, 0.2499), 1);
    assert_int_equal(density_pick(p, 6, 0.25), 3);
    assert_int_equal(density_pick(p, 6, 0.7499), 3);
    assert_int_equal(density_pick(p, 6, 0.75), 4);
    assert_int_equal(density_pick(p, 6, 0x1.fffffffffffffp-1), 4);
}

/* Pearson's chi-square of N draws against p; with 11 degrees of freedom a value
 * above 40 has probability 4e-5, and the seeds are fixed. */
static double chi_square(const uint32_t *count, const float *p, uint32_t n, double draws)
{
    double sum = 0;

    for (uint32_t i = 0; i < n; i++)
        if (p[i] > 0)
            sum += (count[i] - draws * p[i]) * (count[i] - draws * p[i]) / (draws * p[i]);
        else if (count[i] > 0)
            return INFINITY;
    return sum;
}

static void picks_and_gumbel_choices_have_the_law(void **state)
{
    enum { N = 14, DRAWS = 200000 };
    float logits[N], p[N];
    uint32_t picked[N] = {0}, chosen[N] = {0};

    fill_logits(logits, N, 1, 99);
    density_of(p, logits, N, 4, 0.97);
    for (uint64_t pos = 0; pos < DRAWS; pos++) {
        picked[density_pick(p, N, rng_uniform(1, RNG_TEST, pos, 0))]++;
        chosen[density_gumbel(p, N, 1, pos)]++;
    }
    assert_true(chi_square(picked, p, N, DRAWS) < 40);
    assert_true(chi_square(chosen, p, N, DRAWS) < 40);
    /* The counting would see a law that is off by a tenth. */
    float wrong[N];
    memcpy(wrong, p, sizeof p);
    int32_t best = density_argmax(p, N);
    wrong[best] *= 0.9f;
    assert_true(chi_square(picked, wrong, N, DRAWS) > 40);
}

static void time_of_a_large_vocabulary_is_printed(void **state)
{
    enum { N = 32000 };
    float *logits = malloc(N * sizeof *logits), *p = malloc(N * sizeof *p);
    double best = INFINITY;

    fill_logits(logits, N, 1, 4);
    for (int i = 0; i < 20; i++) {
        uint64_t start = clock_now_ns();
        density_of(p, logits, N, 0.6, 0.9);
        best = fmin(best, clock_seconds_since(start));
    }
    assert_true(best > 0);
    print_message("32000 logits: %.0f us\n", best * 1e6);
    free(p);
    free(logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(law_is_that_of_a_full_sort),
        cmocka_unit_test(ties_are_cut_by_lower_id),
        cmocka_unit_test(temperature_zero_is_the_first_argmax),
        cmocka_unit_test(broken_logits_and_settings_are_refused_in_words),
        cmocka_unit_test(pick_inverts_the_cumulative_sum),
        cmocka_unit_test(picks_and_gumbel_choices_have_the_law),
        cmocka_unit_test(time_of_a_large_vocabulary_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
