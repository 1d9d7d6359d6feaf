/*
 * accept.h - acceptance of a proposed token, as pure functions.
 *
 * ACCEPT_REJECTION (Leviathan et al., ICML'23): accept x with probability
 * min(1, p(x) / q(x)); otherwise sample norm(max(p - q, 0)). The emitted token
 * has law p at every level, whatever q is.
 * ACCEPT_COUPLED: proposer and judge both take the argmax of log p + Gumbel
 * noise of (seed, position, token), so the judge's own choice is emitted always,
 * and a proposal is accepted when equal to it.
 * temperature 0 is the limit of both: argmax.
 */
#ifndef KERNELS_ACCEPT_H
#define KERNELS_ACCEPT_H

#include <stdint.h>

#include "common/msg.h"
#include "common/rng.h"

struct accept_rule {
    enum acceptance kind;
    uint64_t seed;
    enum rng_stream accept;   /* stream of the accept test */
    enum rng_stream residual; /* stream of the residual sample */
    enum rng_stream own;      /* stream of the judge's own sample (bonus, baseline) */
};

/* The judge's own token at `pos` from its density. */
int32_t accept_own(const struct accept_rule *rule, const float *p, uint32_t n_vocab, uint64_t pos);

/* Judges `proposed` at `pos`. Returns true if accepted; else *instead is the
 * token to emit in its place. `q` is the density the proposal was really
 * sampled from (ignored under ACCEPT_COUPLED); `scratch` holds n_vocab floats. */
bool accept_token(const struct accept_rule *rule, int32_t proposed, const float *p, const float *q,
                  uint32_t n_vocab, uint64_t pos, float *scratch, int32_t *instead);

#endif
