#include "kernels/density.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "common/mem.h"
#include "common/rng.h"
#include "kernels/half.h"

int32_t density_argmax(const float *x, uint32_t n)
{
    uint32_t best = 0;
    float largest;

    CHECK(n > 0);
    largest = x[0];
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > largest) {
            largest = x[i];
            best = i;
        }
    return (int32_t)best;
}

static enum status check_logits(const float *logits, uint32_t n_vocab, struct err *err)
{
    bool any = false;

    if (n_vocab == 0)
        return err_set(err, ST_CORRUPT, "no logits");
    for (uint32_t i = 0; i < n_vocab; i++) {
        /* One +infinity has no softmax either. */
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return err_set(err, ST_CORRUPT, "logit of token %u is %f", i, (double)logits[i]);
        any |= logits[i] != -INFINITY;
    }
    if (!any)
        return err_set(err, ST_CORRUPT, "all %u logits are -infinity", n_vocab);
    return ST_OK;
}

/* Unsigned order of the result is the order of the floats; -0 is 0. */
static uint32_t order_key(float f)
{
    uint32_t bits = half_f32_to_bits(f + 0.0f);

    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Tokens with key > last are in, and those with key == last in order of id
 * while the mass is below `target`. */
struct cut {
    uint32_t last;
    double mass_above; /* of key > last */
};

/* Keys are cut into digits of 11, 11 and 10 bits. */
enum { N_DIGITS = 3, MAX_BUCKETS = 1 << 11 };
static const struct {
    int shift, bits;
} digit_of[N_DIGITS] = {{21, 11}, {10, 11}, {0, 10}};

/*
 * Finds `last` digit by digit from the top: masses of the keys that share the
 * digits found so far go into buckets by their next digit, and the bucket in
 * which the mass, summed from above, reaches the target gives that digit.
 * Three passes, however flat the law is; a sort would take n log n.
 */
static struct cut find_cut(const float *mass, const uint32_t *key, uint32_t n, double target)
{
    struct cut cut = {0, 0};
    double bucket[MAX_BUCKETS];

    for (int d = 0; d < N_DIGITS; d++) {
        int shift = digit_of[d].shift, bits = digit_of[d].bits;
        uint32_t n_buckets = 1u << bits;

        memset(bucket, 0, sizeof bucket);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t digits = key[i] >> shift;
            if (digits >> bits == cut.last)
                bucket[digits & (n_buckets - 1)] += mass[i];
        }
        uint32_t b = n_buckets - 1;
        while (b > 0 && cut.mass_above + bucket[b] < target)
            cut.mass_above += bucket[b--];
        cut.last = cut.last << bits | b;
    }
    return cut;
}

/* Zeroes what the cut leaves out; returns the mass that stays. */
static double apply_cut(float *mass, const uint32_t *key, uint32_t n, struct cut cut, double target)
{
    double reached = cut.mass_above, kept = 0;

    for (uint32_t i = 0; i < n; i++) {
        bool in = key[i] > cut.last || (key[i] == cut.last && reached < target);

        if (in && key[i] == cut.last)
            reached += mass[i];
        if (!in)
            mass[i] = 0;
        kept += mass[i];
    }
    return kept;
}

static void one_hot(float *p, uint32_t n_vocab, int32_t token)
{
    memset(p, 0, n_vocab * sizeof *p);
    p[token] = 1;
}

enum status density_from_logits(float *p, const float *logits, uint32_t n_vocab,
                                const struct density_params *params, uint32_t *scratch,
                                struct err *err)
{
    enum status st = density_params_check(params, err);
    double total = 0;

    if (st == ST_OK)
        st = check_logits(logits, n_vocab, err);
    if (st != ST_OK)
        return err_in(err, st, "density");
    int32_t best = density_argmax(logits, n_vocab);
    if (params->temperature == 0) {
        one_hot(p, n_vocab, best);
        return ST_OK;
    }
    double highest = logits[best];
    for (uint32_t i = 0; i < n_vocab; i++) {
        /* The key is of the logit: exp may round two of them to one mass. */
        scratch[i] = order_key(logits[i]);
        p[i] = expf((float)((logits[i] - highest) / params->temperature));
        total += p[i];
    }
    if (params->top_p < 1) {
        double target = params->top_p * total;
        total = apply_cut(p, scratch, n_vocab, find_cut(p, scratch, n_vocab, target), target);
    }
    double scale = 1 / total; /* total >= 1: the most probable token's mass */
    for (uint32_t i = 0; i < n_vocab; i++)
        p[i] = (float)(p[i] * scale);
    return ST_OK;
}

int32_t density_pick(const float *p, uint32_t n_vocab, double u)
{
    double total = 0, sum = 0;
    int32_t last = -1;

    for (uint32_t i = 0; i < n_vocab; i++)
        total += p[i];
    for (uint32_t i = 0; i < n_vocab; i++) {
        if (!(p[i] > 0))
            continue;
        last = (int32_t)i;
        sum += p[i];
        if (sum > u * total)
            return last;
    }
    CHECK(last >= 0);
    return last; /* u * total was rounded up to the whole sum */
}

int32_t density_gumbel(const float *p, uint32_t n_vocab, uint64_t seed, uint64_t pos)
{
    double best = -INFINITY;
    int32_t token = -1;

    for (uint32_t i = 0; i < n_vocab; i++) {
        if (!(p[i] > 0))
            continue;
        double score = log((double)p[i]) + rng_gumbel(seed, pos, i);
        if (token < 0 || score > best) {
            best = score;
            token = (int32_t)i;
        }
    }
    CHECK(token >= 0);
    return token;
}
