/*
 * fidelity.h - how far one model's next-token law is from another's, and how
 * sure a mean over consecutive tokens is. Pure functions on host memory.
 *
 * p and q are the softmax of the reference's and of the other's logits.
 */
#ifndef TOOLS_EVAL_FIDELITY_H
#define TOOLS_EVAL_FIDELITY_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/* Of one row: what both say about the token that really follows. */
struct fidelity_row {
    double nll_ref, nll; /* -ln p(target), -ln q(target) */
    double kl;           /* sum p ln(p / q) in nats; never negative, 0 for equal logits */
    bool same_top;       /* the largest logits stand at the same token (lowest on ties) */
};

/* `target` is below n_vocab. ST_CORRUPT: a logit is not finite. */
enum status fidelity_compare(struct fidelity_row *out, const float *ref, const float *other,
                             uint32_t n_vocab, uint32_t target, struct err *err);

/* The value that a share of at least `share` (0, 1] is not above: nearest rank,
 * the ceil(share * n)-th smallest. Sorts x; NaN for n == 0. */
double fidelity_quantile(double *x, size_t n, double share);

struct fidelity_mean {
    double mean;
    double error; /* standard error; NaN with fewer than two batches */
};

/* Batch means, as for a steady-state simulation: x holds runs of run_length consecutive values; each run is cut into batches of
 * batch_length, the last of a run takes the rest, so none is shorter unless the
 * run is. With k batches of n_i of all n values and means m_i:
 *   error^2 = k / (k - 1) * sum (n_i / n)^2 (m_i - mean)^2
 * Neighbouring tokens see the same pages, so single values are not independent. */
/* Batches that a run is cut into. */
size_t fidelity_batches(size_t run_length, size_t batch_length);
struct fidelity_mean fidelity_batch_means(const double *x, size_t n_runs, size_t run_length,
                                          size_t batch_length);

#endif
