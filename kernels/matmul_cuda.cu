/*
 * Three ways, each for what it is good at: a few rows of 16-bit weights on tensor
 * cores straight from memory (matmul_rows_cuda.cuh); many rows through cuBLAS with
 * the same cut of activations; and plain sums for f32 weights of a few rows and
 * for weights that lie or end where 16-byte loads do not fit.
 *
 * A row's bits do not depend on the other rows while there are at most MATMUL_ROWS
 * of them.
 */
#include <cublas_v2.h>

#include "kernels/matmul_gemm_cuda.cuh"
#include "kernels/matmul_plain_cuda.cuh"
#include "kernels/matmul_rows_cuda.cuh"
#include "kernels/op_cuda.cuh"

extern "C" {
#include "common/mem.h"
}

enum {
    MATMUL_ROWS = 64, /* above: cuBLAS */
    GEMM_ROWS = 512,  /* through cuBLAS at a time; bounds the scratch */
    MAX_TILES = 5,    /* of 8 rows in one block */
    MAX_SPLITS = 44,
    MAX_DONE = 16384, /* counters of units and row groups */
    DEPTH = 4,        /* slots of a warp's ring */
    DEEP = 5,         /* where x leaves room */
    STEPS_OF_8 = 32,  /* whose x, of 8 rows in three parts, lies beside DEPTH slots at once */
    STEPS_OF_16 = 16  /* the same of 16 rows */
};

/* How the tensor-core kernel cuts a product; a function of its size and the device. */
struct rows_plan {
    int n_units, n_steps;
    int n_split, n_shares; /* of steps, of units: as many blocks as multiprocessors, or fewer */
};

static int divide_up(int n, int by)
{
    return (n + by - 1) / by;
}

static bool is_aligned(const void *p, size_t to)
{
    return (uintptr_t)p % to == 0;
}

/* Time of a plan in ns, fitted to sweeps of plans over an H200 at 1, 8 and 16 rows: a
 * multiprocessor's share of the memory brings a unit's step in 120 ns, one warp alone
 * takes 300 for it; a warp's change to its next unit costs 400, and splits meet at the
 * end. The plan must not depend on the rows, so x weighs as most of them would have it:
 * steps have to be cut, and from some number on no longer lie beside the rings at once. */
static long long plan_cost(const struct rows_plan *plan)
{
    long long units = divide_up(plan->n_units, plan->n_shares);
    long long steps = divide_up(plan->n_steps, plan->n_split);
    long long stream = units * steps * 120;
    long long serial = divide_up((int)units, UNIT_WARPS) * steps * 300;
    long long join = plan->n_split > 1 ? 3500 + 60 * plan->n_split : 0;
    long long cut = steps * 50 + (steps > STEPS_OF_16 ? 1000 : 0);

    if (steps > STEPS_OF_8)
        cut += steps * 100;
    return (stream > serial ? stream : serial) + units * 400 + join + cut;
}

static struct rows_plan make_plan(int n_units, int n_in, int n_sm)
{
    int n_steps = divide_up(n_in, ROWS_STEP);
    struct rows_plan best = {n_units, n_steps, 1, n_units < n_sm ? n_units : n_sm};

    /* Counters for two groups of rows. */
    for (int split = 2; n_units <= MAX_DONE / 2 && split <= MAX_SPLITS; split++) {
        if (split > n_steps || split > n_sm)
            break;
        int share = divide_up(n_units, n_sm / split);
        struct rows_plan plan = {n_units, n_steps, split, divide_up(n_units, share)};
        if (plan_cost(&plan) < plan_cost(&best))
            best = plan;
    }
    return best;
}

template <enum weight_type TYPE, int SLOTS>
static void (*rows_kernel_of(int n_tiles))(struct matmul_units_params)
{
    switch (n_tiles) {
    case 1:
        return matmul_rows_kernel<TYPE, 1, SLOTS>;
    case 2:
        return matmul_rows_kernel<TYPE, 2, SLOTS>;
    case 3:
        return matmul_rows_kernel<TYPE, 3, SLOTS>;
    default:
        return matmul_rows_kernel<TYPE, MAX_TILES, SLOTS>;
    }
}

template <enum weight_type TYPE>
static void (*rows_kernel_for(int n_tiles, int depth))(struct matmul_units_params)
{
    return depth == DEEP ? rows_kernel_of<TYPE, DEEP>(n_tiles)
                         : rows_kernel_of<TYPE, DEPTH>(n_tiles);
}

/* The weights of `a` in order; returns the number of their units. */
static int list_parts(struct matmul_units_part part[MATMUL_WEIGHTS], const struct matmul_args *a)
{
    int n_units = divide_up(a->n_out, UNIT_OUTS);

    part[0] = {(const unsigned char *)a->w, a->bias, a->out, a->n_out, n_units};
    for (int i = 1; i < MATMUL_WEIGHTS; i++) {
        part[i] = part[i - 1];
        if (i > a->n_also)
            continue;
        const struct matmul_also *also = &a->also[i - 1];
        n_units += divide_up(also->n_out, UNIT_OUTS);
        part[i] = {(const unsigned char *)also->w, also->bias, also->out, also->n_out, n_units};
    }
    return n_units;
}

/* What of x lies in shared memory at a time, and how deep the rings are beside it:
 * all of a split's steps where that is possible. Returns the bytes. */
static size_t plan_shared(struct matmul_units_params *p, int *depth, size_t step_bytes,
                          size_t shared_per_block)
{
    int steps = divide_up(p->n_steps, p->n_split);

    *depth = matmul_rows_ring_bytes(DEEP) + (size_t)steps * step_bytes <= shared_per_block ? DEEP
                                                                                           : DEPTH;
    size_t ring = matmul_rows_ring_bytes(*depth);
    CHECK(ring + step_bytes <= shared_per_block); /* sm_80 has 163 KB */
    int fits = (int)((shared_per_block - ring) / step_bytes);
    p->chunk = steps < fits ? steps : fits;
    return ring + (size_t)p->chunk * step_bytes;
}

static enum status launch_rows(struct device *dev, enum weight_type type, int nt,
                               struct matmul_units_params *p, dim3 grid, struct err *err)
{
    int depth = DEPTH;
    size_t shared = plan_shared(p, &depth, matmul_rows_step_bytes(type, nt),
                                device_cuda_limits(dev)->shared_per_block);

    return cuda_launch_early(dev,
                             type == WEIGHT_BF16 ? rows_kernel_for<WEIGHT_BF16>(nt, depth)
                                                 : rows_kernel_for<WEIGHT_F16>(nt, depth),
                             grid, dim3(ROWS_THREADS), shared, *p, err);
}

static enum status run_rows(struct device *dev, const struct matmul_args *a, struct err *err)
{
    static const unsigned zeros[MAX_DONE] = {0};
    int tiles = divide_up(a->n_rows, 8), groups = divide_up(tiles, MAX_TILES);
    int nt = tiles <= 3 ? tiles : MAX_TILES;
    struct device_cuda_op op = {"matmul", 0, 0, 1};
    struct matmul_units_params p;
    const void *done = NULL;
    void *scratch = NULL;

    memset(&p, 0, sizeof p);
    p.n_units = list_parts(p.part, a);
    struct rows_plan plan = make_plan(p.n_units, a->n_in, device_cuda_limits(dev)->n_sm);
    size_t done_bytes = (size_t)groups * (size_t)plan.n_units * sizeof(unsigned);
    if (plan.n_split == 1)
        done_bytes = 0;
    CHECK(done_bytes <= sizeof zeros);
    op.args_bytes = op_cuda_round(done_bytes);
    op.scratch_bytes = (size_t)groups * (size_t)plan.n_units * (size_t)plan.n_split * (size_t)nt *
                       2 * 32 * sizeof(float4);
    p.x = a->x;
    p.n_rows = a->n_rows;
    p.n_in = a->n_in;
    p.n_steps = plan.n_steps;
    p.n_split = plan.n_split;
    p.accumulate = a->accumulate;
    p.x_aligned = is_aligned(a->x, 16);
    enum status st = device_cuda_begin(dev, &op, &scratch, err);
    p.partial = (float4 *)scratch;
    if (st == ST_OK && done_bytes > 0)
        st = device_cuda_args(dev, zeros, done_bytes, &done, err);
    p.done = (unsigned *)done;
    if (st != ST_OK)
        return st;
    dim3 grid((unsigned)plan.n_shares, (unsigned)plan.n_split, (unsigned)groups);
    return launch_rows(dev, a->type, nt, &p, grid, err);
}

template <enum weight_type TYPE, bool BY_FOUR>
static enum status launch_plain(struct device *dev, const struct matmul_plain_params *p,
                                struct err *err)
{
    dim3 grid((unsigned)divide_up(p->n_out, PLAIN_WARPS),
              (unsigned)divide_up(p->n_rows, PLAIN_ROWS));

    return cuda_launch_early(dev, matmul_plain_kernel<TYPE, BY_FOUR>, grid, dim3(PLAIN_THREADS), 0,
                             *p, err);
}

static enum status run_plain(struct device *dev, const struct matmul_args *a, struct err *err)
{
    const struct device_cuda_op op = {"matmul", 0, 0, 1};
    struct matmul_plain_params p;
    enum status st = device_cuda_begin(dev, &op, NULL, err);

    memset(&p, 0, sizeof p);
    p.out = a->out;
    p.x = a->x;
    p.w = (const unsigned char *)a->w;
    p.bias = a->bias;
    p.n_rows = a->n_rows;
    p.n_in = a->n_in;
    p.n_out = a->n_out;
    p.accumulate = a->accumulate;
    if (st != ST_OK)
        return st;
    if (a->type == WEIGHT_F16)
        return launch_plain<WEIGHT_F16, false>(dev, &p, err);
    if (a->type == WEIGHT_BF16)
        return launch_plain<WEIGHT_BF16, false>(dev, &p, err);
    if (a->n_in % 4 == 0 && is_aligned(a->w, 16) && is_aligned(a->x, 16))
        return launch_plain<WEIGHT_F32, true>(dev, &p, err);
    return launch_plain<WEIGHT_F32, false>(dev, &p, err);
}

/* product[r][o] = sum of x and w, f32 sums (no TF32), added to what is there if beta is 1. */
static enum status gemm(struct device *dev, const struct matmul_args *a, const void *x, int n_rows,
                        float *product, float beta, struct err *err)
{
    cudaDataType_t type = a->type == WEIGHT_F32   ? CUDA_R_32F
                          : a->type == WEIGHT_F16 ? CUDA_R_16F
                                                  : CUDA_R_16BF;
    const float alpha = 1.0f;
    void *handle = NULL;
    enum status st = device_cuda_blas(dev, &handle, err);

    if (st != ST_OK)
        return st;
    /* Column-major: product^T = w x^T. */
    cublasStatus_t blas =
        cublasGemmEx((cublasHandle_t)handle, CUBLAS_OP_T, CUBLAS_OP_N, a->n_out, n_rows, a->n_in,
                     &alpha, a->w, type, a->n_in, x, type, a->n_in, &beta, product, CUDA_R_32F,
                     a->n_out, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    if (blas != CUBLAS_STATUS_SUCCESS)
        return err_set(err, ST_DEVICE, "cuBLAS refuses a product of %d rows, %d -> %d: %s", n_rows,
                       a->n_in, a->n_out, cublasGetStatusString(blas));
    return ST_OK;
}

/* Scratch of a chunk of rows through cuBLAS: parts of x, scales, and f16's products. */
struct gemm_scratch {
    uint16_t *part;
    float *inverse, *product;
};

/* Returns its size in bytes; `s` is cut from `block` if that is not NULL. */
static size_t cut_gemm_scratch(struct gemm_scratch *s, void *block, const struct matmul_args *a)
{
    size_t n_rows = (size_t)a->n_rows, parts = a->type == WEIGHT_BF16 ? 3 : 2;
    size_t part_bytes = (parts * n_rows * (size_t)a->n_in * sizeof(uint16_t) + 255) / 256 * 256;
    size_t inverse_bytes = (n_rows * sizeof(float) + 255) / 256 * 256;
    char *at = (char *)block;

    if (block != NULL) {
        s->part = (uint16_t *)block;
        s->inverse = (float *)(at + part_bytes);
        s->product = a->type == WEIGHT_F16 ? (float *)(at + part_bytes + inverse_bytes) : a->out;
    }
    return part_bytes + inverse_bytes +
           (a->type == WEIGHT_F16 ? n_rows * (size_t)a->n_out * sizeof(float) : 0);
}

static enum status launch_split(struct device *dev, const struct matmul_args *a,
                                const struct gemm_scratch *s, struct err *err)
{
    struct matmul_gemm_split_params p;

    memset(&p, 0, sizeof p);
    p.x = a->x;
    p.part = s->part;
    p.inverse = s->inverse;
    p.n_rows = a->n_rows;
    p.n_in = a->n_in;
    return cuda_launch_early(dev,
                             a->type == WEIGHT_F16 ? matmul_gemm_split_kernel<WEIGHT_F16>
                                                   : matmul_gemm_split_kernel<WEIGHT_BF16>,
                             dim3((unsigned)a->n_rows), dim3(GEMM_THREADS), 0, p, err);
}

static enum status launch_finish(struct device *dev, const struct matmul_args *a,
                                 const struct gemm_scratch *s, struct err *err)
{
    struct matmul_gemm_finish_params p;

    memset(&p, 0, sizeof p);
    p.out = a->out;
    p.product = s->product;
    p.inverse = a->type == WEIGHT_F16 ? s->inverse : NULL;
    p.bias = a->bias;
    p.n_rows = a->n_rows;
    p.n_out = a->n_out;
    /* Where cuBLAS wrote to `out` itself it has added already. */
    p.accumulate = a->accumulate && s->product != a->out;
    dim3 grid((unsigned)divide_up(a->n_out, GEMM_THREADS), (unsigned)a->n_rows);
    return cuda_launch_early(dev, matmul_gemm_finish_kernel, grid, dim3(GEMM_THREADS), 0, p, err);
}

/* At most GEMM_ROWS rows. */
static enum status run_gemm(struct device *dev, const struct matmul_args *a, struct err *err)
{
    struct gemm_scratch s = {NULL, NULL, a->out};
    bool is_split = a->type != WEIGHT_F32;
    struct device_cuda_op op = {"matmul", 0, is_split ? cut_gemm_scratch(&s, NULL, a) : 0, 2};
    void *scratch = NULL;
    enum status st = device_cuda_begin(dev, &op, &scratch, err);

    if (st == ST_OK && is_split) {
        cut_gemm_scratch(&s, scratch, a);
        st = launch_split(dev, a, &s, err);
    }
    if (st == ST_OK)
        st = device_cuda_submit(dev, err);
    int n_parts = !is_split ? 1 : a->type == WEIGHT_BF16 ? 3 : 2;
    float beta = a->accumulate && s.product == a->out ? 1.0f : 0.0f;
    /* Smallest part first. */
    for (int i = n_parts - 1; st == ST_OK && i >= 0; i--) {
        size_t at = (size_t)i * (size_t)a->n_rows * (size_t)a->n_in;
        const void *x = is_split ? (const void *)(s.part + at) : a->x;
        st = gemm(dev, a, x, a->n_rows, s.product, beta, err);
        beta = 1.0f;
    }
    if (st == ST_OK && (a->bias != NULL || s.product != a->out))
        st = launch_finish(dev, a, &s, err);
    return st;
}

static enum status run_many(struct device *dev, const struct matmul_args *a, struct err *err)
{
    enum status st = ST_OK;

    for (int row = 0; st == ST_OK && row < a->n_rows; row += GEMM_ROWS) {
        struct matmul_args part = *a;
        part.n_rows = a->n_rows - row < GEMM_ROWS ? a->n_rows - row : GEMM_ROWS;
        part.x += (size_t)row * (size_t)a->n_in;
        part.out += (size_t)row * (size_t)a->n_out;
        st = run_gemm(dev, &part, err);
    }
    return st;
}

/* What 16-byte loads need; f32 is read by elements otherwise. */
static bool fits_loads(const struct matmul_args *a, const void *w)
{
    return a->type == WEIGHT_F32 ? is_aligned(w, 4) : a->n_in % 8 == 0 && is_aligned(w, 16);
}

static enum status run_single(struct device *dev, const struct matmul_args *a, struct err *err)
{
    bool fits = fits_loads(a, a->w);

    if (fits && a->n_rows > MATMUL_ROWS)
        return run_many(dev, a, err);
    if (fits && a->type != WEIGHT_F32)
        return run_rows(dev, a, err);
    return run_plain(dev, a, err);
}

extern "C" enum status matmul_cuda(struct device *dev, const struct matmul_args *a, struct err *err)
{
    bool is_one = a->type != WEIGHT_F32 && a->n_rows <= MATMUL_ROWS && fits_loads(a, a->w);
    enum status st = ST_OK;

    if (a->n_rows == 0)
        return ST_OK;
    CHECK(a->n_rows > 0 && a->n_in > 0 && a->n_also >= 0 && a->n_also < MATMUL_WEIGHTS);
    for (int i = 0; i < a->n_also; i++)
        is_one = is_one && fits_loads(a, a->also[i].w);
    if (is_one)
        return run_rows(dev, a, err);
    for (int i = 0; st == ST_OK && i <= a->n_also; i++) {
        struct matmul_args one = matmul_single(a, i);
        st = run_single(dev, &one, err);
    }
    return st;
}
