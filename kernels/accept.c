#include "kernels/accept.h"

#include "common/mem.h"
#include "kernels/density.h"

int32_t accept_own(const struct accept_rule *rule, const float *p, uint32_t n_vocab, uint64_t pos)
{
    if (rule->kind == ACCEPT_COUPLED)
        return density_gumbel(p, n_vocab, rule->seed, pos);
    return density_pick(p, n_vocab, rng_uniform(rule->seed, rule->own, pos, 0));
}

/* A sample of norm(max(p - q, 0)). Without any residual p and q are one law
 * (up to rounding), and p itself is right. */
static int32_t sample_residual(const struct accept_rule *rule, const float *p, const float *q,
                               uint32_t n_vocab, uint64_t pos, float *scratch)
{
    double u = rng_uniform(rule->seed, rule->residual, pos, 0);
    bool any = false;

    for (uint32_t i = 0; i < n_vocab; i++) {
        scratch[i] = p[i] > q[i] ? p[i] - q[i] : 0;
        any |= scratch[i] > 0;
    }
    return density_pick(any ? scratch : p, n_vocab, u);
}

bool accept_token(const struct accept_rule *rule, int32_t proposed, const float *p, const float *q,
                  uint32_t n_vocab, uint64_t pos, float *scratch, int32_t *instead)
{
    CHECK(proposed >= 0 && (uint32_t)proposed < n_vocab);
    if (rule->kind == ACCEPT_COUPLED) {
        int32_t own = accept_own(rule, p, n_vocab, pos);
        if (own == proposed)
            return true;
        *instead = own;
        return false;
    }
    /* u < p / q without the division: strict, so a token of p = 0 is never
     * accepted, not even at u = 0. */
    double u = rng_uniform(rule->seed, rule->accept, pos, 0);
    if (u * q[proposed] < p[proposed])
        return true;
    *instead = sample_residual(rule, p, q, n_vocab, pos, scratch);
    return false;
}
