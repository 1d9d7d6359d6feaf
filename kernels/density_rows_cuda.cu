/*
 * One block per row. Masses are summed as 64-bit fixed point, which no order of
 * addition can change.
 *
 * top_p: if target = top_p * total is to be reached, tokens of less mass than
 * (total - target) / n_vocab are all out, since together they have less than what
 * may stay out. The others, few in most laws, are collected in shared memory, and
 * the order key (density.c) at which the cut falls is found by halving the range
 * of keys, each time summing what lies above; if they are too many, the sums run
 * over the row instead. Histograms of keys would need fewer passes, but a law's
 * masses crowd into few buckets, where their additions wait for each other.
 */
#include <float.h>
#include <math.h>

#include "kernels/op_cuda.cuh"
#include "kernels/reduce_cuda.cuh"

enum { THREADS = 1024, CANDIDATES = 4096 };

struct density_row_params {
    float *p;
    const float *logits;
    uint32_t n_vocab;
    float inverse_temperature; /* 0: temperature 0 */
    float least;               /* (1 - top_p) / n_vocab, rounded down */
    float one;                 /* a mass of 1 in fixed point, a power of two */
    double top_p;
};

/* Why density.c's keys: -0 is 0, unsigned order is the order of the floats. */
static __device__ __forceinline__ uint32_t order_key(float x)
{
    const uint32_t bits = __float_as_uint(x + 0.0f);

    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static __device__ __forceinline__ float key_logit(uint32_t key)
{
    return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

/* e^((x - highest) / temperature), at most 1. */
static __device__ __forceinline__ float mass_of(const struct density_row_params &p, float x,
                                                float highest)
{
    /* Equal logits have mass 1 however cold it is: 0 * infinity is none. */
    return x == highest ? 1.0f : expf((x - highest) * p.inverse_temperature);
}

static __device__ __forceinline__ uint64_t fixed(const struct density_row_params &p, float mass)
{
    return (uint64_t)(mass * p.one);
}

struct density_shared {
    uint64_t reduce[REDUCE_SHARED];
    uint32_t key[CANDIDATES];
    uint32_t n_keys;    /* may be more than there is room for */
    uint32_t not_least; /* ~ of the smallest of all of them */
};

/* The row's largest logit in order keys (high word) with the lowest id that has
 * it (low word, inverted); 0 if the row has no law. */
static __device__ uint64_t find_best(const struct density_row_params &p, const float *logits,
                                     struct density_shared *shared)
{
    uint64_t best = 0, n_bad = 0;

#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < p.n_vocab; i += THREADS) {
        const float x = logits[i];
        const uint64_t key = (uint64_t)order_key(x) << 32 | ~i;

        n_bad += !(x < INFINITY);
        best = key > best ? key : best;
    }
    n_bad = reduce_block_sum_u64(n_bad, shared->reduce);
    best = reduce_block_max_u64(best, shared->reduce);
    return n_bad > 0 || key_logit((uint32_t)(best >> 32)) == -INFINITY ? 0 : best;
}

static __device__ uint64_t total_mass(const struct density_row_params &p, const float *logits,
                                      float highest, struct density_shared *shared)
{
    uint64_t sum = 0;

#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < p.n_vocab; i += THREADS)
        sum += fixed(p, mass_of(p, logits[i], highest));
    return reduce_block_sum_u64(sum, shared->reduce);
}

/* Keys of at least `least` mass; their order in shared memory may vary. */
static __device__ void collect(const struct density_row_params &p, const float *logits,
                               float highest, float least, struct density_shared *shared)
{
    if (threadIdx.x == 0)
        shared->n_keys = shared->not_least = 0;
    __syncthreads();
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < p.n_vocab; i += THREADS) {
        const float x = logits[i];

        if (mass_of(p, x, highest) < least)
            continue;
        const uint32_t at = atomicAdd(&shared->n_keys, 1u);
        atomicMax(&shared->not_least, ~order_key(x));
        if (at < CANDIDATES)
            shared->key[at] = order_key(x);
    }
    __syncthreads();
}

/* Mass of all tokens with key >= `from` (a candidate's key). */
static __device__ uint64_t mass_from(const struct density_row_params &p, const float *logits,
                                     float highest, uint32_t from, struct density_shared *shared)
{
    uint64_t sum = 0;

    if (shared->n_keys <= CANDIDATES) {
        for (uint32_t i = threadIdx.x; i < shared->n_keys; i += THREADS)
            if (shared->key[i] >= from)
                sum += fixed(p, mass_of(p, key_logit(shared->key[i]), highest));
    } else {
        for (uint32_t i = threadIdx.x; i < p.n_vocab; i += THREADS)
            if (order_key(logits[i]) >= from)
                sum += fixed(p, mass_of(p, logits[i], highest));
    }
    return reduce_block_sum_u64(sum, shared->reduce);
}

/* Tokens below id `end` whose key is `key`. */
static __device__ uint32_t count_key(const struct density_row_params &p, const float *logits,
                                     uint32_t key, uint32_t end, struct density_shared *shared)
{
    uint64_t n = 0;

    for (uint32_t i = threadIdx.x; i < end; i += THREADS)
        n += order_key(logits[i]) == key;
    return (uint32_t)reduce_block_sum_u64(n, shared->reduce);
}

/* Tokens with key > last are in, and those with key == last and id < end. */
struct density_cut {
    uint32_t last, end;
    uint64_t mass; /* of all that are in */
};

static __device__ struct density_cut find_cut(const struct density_row_params &p,
                                              const float *logits, uint32_t best, float highest,
                                              uint64_t total, struct density_shared *shared)
{
    const uint64_t target = (uint64_t)ceil(p.top_p * (double)total);
    uint64_t above = 0; /* mass of key >= hi, below target; key >= lo reaches it */
    struct density_cut cut;

    collect(p, logits, highest, p.least * ((float)total / p.one), shared);
    uint32_t lo = ~shared->not_least, hi = best + 1;
    while (hi - lo > 1) {
        const uint32_t mid = lo + (hi - lo) / 2;
        const uint64_t mass = mass_from(p, logits, highest, mid, shared);

        if (mass >= target) {
            lo = mid;
        } else {
            hi = mid;
            above = mass;
        }
    }
    /* Ties come in by id, as many as the target takes. */
    const uint64_t one = fixed(p, mass_of(p, key_logit(lo), highest));
    const uint32_t n_ties = count_key(p, logits, lo, p.n_vocab, shared);
    uint64_t n_in = one > 0 ? (target - above + one - 1) / one : n_ties;
    n_in = n_in < n_ties ? n_in : n_ties;
    cut.last = lo;
    cut.mass = above + n_in * one;
    cut.end = p.n_vocab;
    if (n_in == n_ties)
        return cut;
    uint32_t low = 0; /* below it fewer than n_in ties, below cut.end at least n_in */
    while (cut.end - low > 1) {
        const uint32_t mid = low + (cut.end - low) / 2;

        if (count_key(p, logits, lo, mid, shared) >= n_in)
            cut.end = mid;
        else
            low = mid;
    }
    return cut;
}

static __global__ void __launch_bounds__(THREADS) density_rows_kernel(struct density_row_params p)
{
    op_cuda_start();
    __shared__ struct density_shared shared;
    const float *logits = p.logits + (size_t)blockIdx.x * p.n_vocab;
    float *out = p.p + (size_t)blockIdx.x * p.n_vocab;
    const uint64_t best = find_best(p, logits, &shared);
    const uint32_t best_key = (uint32_t)(best >> 32), best_id = ~(uint32_t)best;
    const float highest = key_logit(best_key);
    struct density_cut cut = {0, 0, 0};

    if (best == 0) {
        if (threadIdx.x == 0)
            out[0] = NAN;
        return;
    }
    if (p.inverse_temperature == 0.0f) {
        for (uint32_t i = threadIdx.x; i < p.n_vocab; i += THREADS)
            out[i] = i == best_id ? 1.0f : 0.0f;
        return;
    }
    cut.mass = total_mass(p, logits, highest, &shared);
    if (p.top_p < 1.0)
        cut = find_cut(p, logits, best_key, highest, cut.mass, &shared);
    const float scale = (float)((double)p.one / (double)cut.mass);
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < p.n_vocab; i += THREADS) {
        const float x = logits[i];
        const uint32_t key = order_key(x);
        const bool in = key > cut.last || (key == cut.last && i < cut.end);

        out[i] = in ? mass_of(p, x, highest) * scale : 0.0f;
    }
}

/* The fixed point leaves room for n_vocab masses of 1. */
static float fixed_one(uint32_t n_vocab)
{
    int bits = 62;

    while (n_vocab > 0) {
        bits--;
        n_vocab /= 2;
    }
    return ldexpf(1.0f, bits);
}

extern "C" enum status density_rows_cuda(struct device *dev, const struct density_rows_args *a,
                                         struct err *err)
{
    static const struct device_cuda_op op = {"density_rows", 0, 0, 1};
    const double temperature = a->law.temperature;
    struct density_row_params p;
    enum status st = density_params_check(&a->law, err);

    if (st == ST_OK && a->n_vocab <= 0)
        st = err_set(err, ST_INVALID, "a vocabulary of %d tokens has no law", a->n_vocab);
    if (st != ST_OK)
        return err_in(err, st, "density");
    if (a->n_rows <= 0)
        return ST_OK;
    st = device_cuda_begin(dev, &op, NULL, err);
    if (st != ST_OK)
        return st;
    memset(&p, 0, sizeof p);
    p.p = a->p;
    p.logits = a->logits;
    p.n_vocab = (uint32_t)a->n_vocab;
    if (temperature > 0)
        p.inverse_temperature = (float)fmax(fmin(1.0 / temperature, FLT_MAX), FLT_MIN);
    /* Half of it: a larger set of candidates is never wrong. */
    p.least = (float)((1.0 - a->law.top_p) / a->n_vocab / 2);
    p.one = fixed_one(p.n_vocab);
    p.top_p = a->law.top_p;
    return cuda_launch_early(dev, density_rows_kernel, dim3((unsigned)a->n_rows), dim3(THREADS), 0,
                             p, err);
}
