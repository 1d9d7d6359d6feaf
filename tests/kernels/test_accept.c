/*
 * Exactness by counting: a draft that is wrong on purpose proposes, and the
 * emitted tokens must have the judge's law, after one level and after two
 * (draft -> middle -> target). The same counting must find the classic mistake,
 * a rejected token drawn from p instead of from the residual.
 */
#include "kernels/accept.h"

#include "kernels/density.h"
#include "tests/kernels/kernel_data.h"

enum { VOCAB = 8, TRIALS = 400000, SEED = 20 };

/* The draft loves token 0, which the target hates, and never says 5; the middle
 * is near the target; token 7 has no mass in the target, 6 none in the middle. */
static const float law_draft[VOCAB] = {0.55f, 0.05f, 0.1f, 0.05f, 0.1f, 0, 0.1f, 0.05f};
static const float law_middle[VOCAB] = {0.1f, 0.3f, 0.15f, 0.2f, 0.1f, 0.1f, 0, 0.05f};
static const float law_target[VOCAB] = {0.02f, 0.25f, 0.3f, 0.13f, 0.1f, 0.15f, 0.05f, 0};

/* The numbers of the study: which stream each level draws from. */
static const struct accept_rule middle_rule = {ACCEPT_REJECTION, SEED, RNG_MIDDLE_ACCEPT,
                                               RNG_MIDDLE_RESIDUAL, RNG_MIDDLE_RESIDUAL};
static const struct accept_rule target_rule = {ACCEPT_REJECTION, SEED, RNG_VERIFY_ACCEPT,
                                               RNG_VERIFY_RESIDUAL, RNG_TARGET};

/* accept_token, or the mistake that the counting must find. */
typedef bool judge_fn(const struct accept_rule *rule, int32_t proposed, const float *p,
                      const float *q, uint64_t pos, int32_t *instead);

static bool judge_right(const struct accept_rule *rule, int32_t proposed, const float *p,
                        const float *q, uint64_t pos, int32_t *instead)
{
    float scratch[VOCAB];

    return accept_token(rule, proposed, p, q, VOCAB, pos, scratch, instead);
}

static bool judge_resampling_from_p(const struct accept_rule *rule, int32_t proposed,
                                    const float *p, const float *q, uint64_t pos, int32_t *instead)
{
    if (rng_uniform(rule->seed, rule->accept, pos, 0) * q[proposed] < p[proposed])
        return true;
    *instead = density_pick(p, VOCAB, rng_uniform(rule->seed, rule->residual, pos, 0));
    return false;
}

static int32_t emit(judge_fn *judge, const struct accept_rule *rule, int32_t proposed,
                    const float *p, const float *q, uint64_t pos)
{
    int32_t instead = -1;

    return judge(rule, proposed, p, q, pos, &instead) ? proposed : instead;
}

static int32_t propose(uint64_t pos)
{
    return density_pick(law_draft, VOCAB, rng_uniform(SEED, RNG_DRAFT, pos, 0));
}

/* Total variation of the counted law to `p`; INFINITY if a token that p does
 * not have was emitted at all. */
static double distance(const uint32_t *count, const float *p)
{
    double sum = 0;

    for (int i = 0; i < VOCAB; i++) {
        if (p[i] == 0 && count[i] > 0)
            return INFINITY;
        sum += fabs((double)count[i] / TRIALS - p[i]);
    }
    return sum / 2;
}

/* The mean of the distance that N honest draws have is
 * sum sqrt(p (1 - p) / N) / 2 * sqrt(2 / pi), for many draws; twice that is far
 * out in the tail, and what the mistake does is far beyond. */
static double noise(const float *p)
{
    double sum = 0;

    for (int i = 0; i < VOCAB; i++)
        sum += sqrt(p[i] * (1 - (double)p[i]) / TRIALS);
    return sum / 2 * sqrt(2 / M_PI) * 2;
}

static double one_level(judge_fn *judge)
{
    uint32_t count[VOCAB] = {0};

    for (uint64_t pos = 0; pos < TRIALS; pos++)
        count[emit(judge, &target_rule, propose(pos), law_target, law_draft, pos)]++;
    return distance(count, law_target);
}

/* The target takes the middle's law as the density of what the middle hands
 * over: right only if the middle really emits that law. */
static double two_levels(judge_fn *judge_middle)
{
    uint32_t count[VOCAB] = {0};

    for (uint64_t pos = 0; pos < TRIALS; pos++) {
        int32_t token = emit(judge_middle, &middle_rule, propose(pos), law_middle, law_draft, pos);
        count[emit(judge_right, &target_rule, token, law_target, law_middle, pos)]++;
    }
    return distance(count, law_target);
}

static void one_level_emits_the_judges_law(void **state)
{
    double tv = one_level(judge_right);

    print_message("distance %.5f, noise allows %.5f\n", tv, noise(law_target));
    assert_true(tv < noise(law_target));
}

static void two_levels_emit_the_targets_law(void **state)
{
    double tv = two_levels(judge_right);

    print_message("distance %.5f, noise allows %.5f\n", tv, noise(law_target));
    assert_true(tv < noise(law_target));
}

static void the_counting_finds_resampling_from_p(void **state)
{
    double one = one_level(judge_resampling_from_p), two = two_levels(judge_resampling_from_p);

    print_message("with the mistake: %.5f at one level, %.5f over two\n", one, two);
    assert_true(one > 5 * noise(law_target));
    assert_true(two > 5 * noise(law_target));
}

/* The middle's own acceptance rate must be what theory says: sum min(p, q). */
static void acceptance_rate_is_the_overlap(void **state)
{
    double overlap = 0, accepted = 0;

    for (int i = 0; i < VOCAB; i++)
        overlap += fmin(law_target[i], law_draft[i]);
    for (uint64_t pos = 0; pos < TRIALS; pos++) {
        int32_t instead;
        accepted += judge_right(&target_rule, propose(pos), law_target, law_draft, pos, &instead);
    }
    assert_close(accepted / TRIALS, overlap, 5 * sqrt(0.25 / TRIALS));
}

static void equal_laws_accept_everything(void **state)
{
    for (uint64_t pos = 0; pos < 10000; pos++) {
        int32_t instead = -1;
        assert_true(judge_right(&target_rule, propose(pos), law_draft, law_draft, pos, &instead));
        assert_int_equal(instead, -1);
    }
}

/* Where q lies above p everywhere that p has mass (rounding, or a proposer
 * whose density is not normalized), nothing is left, and p itself is drawn. */
static void a_zero_residual_falls_back_to_p(void **state)
{
    const float p[VOCAB] = {0, 0.5f, 0.5f, 0, 0, 0, 0, 0};
    const float q[VOCAB] = {0.5f, 0.5f, 0.5f, 0, 0, 0, 0, 0};
    uint32_t count[VOCAB] = {0};

    for (uint64_t pos = 0; pos < 10000; pos++) {
        int32_t instead = -1;
        assert_false(judge_right(&target_rule, 0, p, q, pos, &instead));
        assert_in_range(instead, 1, 2);
        count[instead]++;
    }
    assert_close(count[1], 5000, 300); /* 6 standard deviations */
}

static void at_temperature_zero_the_argmax_comes_out(void **state)
{
    const float p[VOCAB] = {0, 0, 0, 1, 0, 0, 0, 0}, q[VOCAB] = {0, 0, 1, 0, 0, 0, 0, 0};

    for (uint64_t pos = 0; pos < 1000; pos++)
        for (int kind = 0; kind < 2; kind++) {
            struct accept_rule rule = target_rule;
            int32_t instead = -1;
            rule.kind = (enum acceptance)kind;
            assert_int_equal(accept_own(&rule, p, VOCAB, pos), 3);
            assert_true(judge_right(&rule, 3, p, p, pos, &instead));
            assert_false(judge_right(&rule, 2, p, q, pos, &instead));
            assert_int_equal(instead, 3);
        }
}

/* Coupled: what is emitted is the judge's own choice whatever was proposed,
 * also by a chain of two levels; the own choices have the judge's law; and a
 * proposer that chooses by the same noise is accepted far more often than one
 * that draws on its own. */
static void coupled_emits_the_own_choice_always(void **state)
{
    struct accept_rule rule = target_rule;
    uint32_t count[VOCAB] = {0};
    double coupled = 0, independent = 0;

    rule.kind = ACCEPT_COUPLED;
    for (uint64_t pos = 0; pos < TRIALS / 4; pos++) {
        int32_t own = accept_own(&rule, law_target, VOCAB, pos);
        int32_t draft = accept_own(&rule, law_draft, VOCAB, pos);
        int32_t middle = emit(judge_right, &rule, draft, law_middle, law_draft, pos);
        int32_t instead = -1;

        assert_int_equal(middle, accept_own(&rule, law_middle, VOCAB, pos));
        assert_int_equal(emit(judge_right, &rule, middle, law_target, law_middle, pos), own);
        coupled += judge_right(&rule, draft, law_target, NULL, pos, &instead);
        independent += judge_right(&rule, propose(pos), law_target, NULL, pos, &instead);
        count[own] += 4; /* distance() divides by TRIALS */
    }
    print_message("accepted: coupled %.3f, independent %.3f\n", coupled / (TRIALS / 4),
                  independent / (TRIALS / 4));
    assert_true(distance(count, law_target) < 2 * noise(law_target)); /* a quarter of the draws */
    assert_true(coupled > 2 * independent);
    assert_true(independent > 0);
}

static void the_own_sample_has_the_law(void **state)
{
    uint32_t count[VOCAB] = {0};

    for (uint64_t pos = 0; pos < TRIALS; pos++)
        count[accept_own(&target_rule, law_target, VOCAB, pos)]++;
    assert_true(distance(count, law_target) < noise(law_target));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_level_emits_the_judges_law),
        cmocka_unit_test(two_levels_emit_the_targets_law),
        cmocka_unit_test(the_counting_finds_resampling_from_p),
        cmocka_unit_test(acceptance_rate_is_the_overlap),
        cmocka_unit_test(equal_laws_accept_everything),
        cmocka_unit_test(a_zero_residual_falls_back_to_p),
        cmocka_unit_test(at_temperature_zero_the_argmax_comes_out),
        cmocka_unit_test(coupled_emits_the_own_choice_always),
        cmocka_unit_test(the_own_sample_has_the_law),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
