#include "tools/eval/fidelity.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/density.h"

/* ln sum exp(x), and whether all are finite. */
static double log_sum(const float *x, uint32_t n, bool *is_finite)
{
    double max = x[0], sum = 0.0;

    for (uint32_t i = 0; i < n; i++) {
        *is_finite = *is_finite && isfinite(x[i]);
        max = fmax(max, x[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)x[i] - max);
    return max + log(sum);
}

/* p d + q - p with d = ln(p / q). Summed over all tokens it is sum p d, since p
 * and q both sum to 1; but no term is negative, so tiny divergences do not
 * cancel. Far ratios are added up plainly: e^-d could overflow. */
static double kl_term(double log_p, double log_q)
{
    double p = exp(log_p), d = log_p - log_q;

    return fabs(d) < 1.0 ? p * (d + expm1(-d)) : p * d + exp(log_q) - p;
}

enum status fidelity_compare(struct fidelity_row *out, const float *ref, const float *other,
                             uint32_t n_vocab, uint32_t target, struct err *err)
{
    bool is_finite = true;
    double ref_sum = log_sum(ref, n_vocab, &is_finite);
    double other_sum = log_sum(other, n_vocab, &is_finite);
    double kl = 0.0;

    if (!is_finite)
        return err_set(err, ST_CORRUPT, "a logit is not a finite number");
    for (uint32_t i = 0; i < n_vocab; i++)
        kl += kl_term((double)ref[i] - ref_sum, (double)other[i] - other_sum);
    out->nll_ref = ref_sum - (double)ref[target];
    out->nll = other_sum - (double)other[target];
    out->kl = fmax(kl, 0.0);
    out->same_top = density_argmax(ref, n_vocab) == density_argmax(other, n_vocab);
    return ST_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double fidelity_quantile(double *x, size_t n, double share)
{
    size_t rank = (size_t)ceil(share * (double)n);

    if (n == 0)
        return NAN;
    qsort(x, n, sizeof *x, by_value);
    return x[rank > 0 ? rank - 1 : 0];
}

static double mean_of(const double *x, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

size_t fidelity_batches(size_t run_length, size_t batch_length)
{
    return run_length < batch_length ? 1 : run_length / batch_length;
}

struct fidelity_mean fidelity_batch_means(const double *x, size_t n_runs, size_t run_length,
                                          size_t batch_length)
{
    size_t n = n_runs * run_length;
    size_t per_run = fidelity_batches(run_length, batch_length);
    size_t n_batches = n_runs * per_run;
    struct fidelity_mean out = {n == 0 ? NAN : mean_of(x, n), NAN};
    double sum = 0.0;

    if (n == 0 || n_batches < 2)
        return out;
    for (size_t b = 0; b < n_batches; b++) {
        size_t in_run = b % per_run, begin = b / per_run * run_length + in_run * batch_length;
        size_t length = in_run + 1 < per_run ? batch_length : run_length - in_run * batch_length;
        double part = (mean_of(x + begin, length) - out.mean) * (double)length / (double)n;
        sum += part * part;
    }
    out.error = sqrt(sum * (double)n_batches / (double)(n_batches - 1));
    return out;
}
