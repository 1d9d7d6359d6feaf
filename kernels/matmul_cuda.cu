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
    MAX_SPLITS = 16,
    MAX_WAVES = 4,     /* blocks per multiprocessor, where tiles are split */
    MAX_DONE = 4096,   /* counters of tiles and row groups */
    STATIC_SHARED = 64 /* bytes of __shared__ variables, rounded up, and a block's own 1 KiB */
};

/* How the tensor-core kernel cuts a product; a function of its size and the device. */
struct rows_plan {
    int mw, mt; /* a block has mw * mt * 16 outputs */
    int n_tiles, n_split;
};

static int divide_up(int n, int by)
{
    return (n + by - 1) / by;
}

static bool is_aligned(const void *p, size_t to)
{
    return (uintptr_t)p % to == 0;
}

/* Time in ns of a plan at 8 rows, by a model of the H200: a multiprocessor's share
 * of the memory is 32 bytes a ns, 24 with a single block; 2 KB of x a step come at
 * 40 bytes a ns; blocks that share outputs wait for each other and add up. */
static long long plan_cost(const struct rows_plan *plan, int n_steps, int n_sm)
{
    long long blocks = divide_up(plan->n_tiles * plan->n_split, n_sm);
    long long step = (long long)plan->mw * plan->mt * 16 * 128 / (blocks == 1 ? 24 : 32) + 50;
    int groups = ROWS_WARPS / plan->mw;
    /* Step groups of a block wait for the one that has most. */
    long long steps = (long long)divide_up(divide_up(n_steps, plan->n_split), groups) * groups;

    return blocks * steps * step + (plan->n_split > 1 ? 1500 + 100 * plan->n_split : 0);
}

static struct rows_plan make_plan(const struct matmul_args *a, int n_sm)
{
    static const int shape[][2] = {{4, 2}, {1, 2}, {1, 1}};
    int n_steps = divide_up(a->n_in, ROWS_STEP);
    struct rows_plan best = {0, 0, 0, 0};
    long long best_cost = -1;

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int split = 1; split <= MAX_SPLITS && split <= n_steps; split++) {
            int outs = shape[i][0] * shape[i][1] * 16;
            struct rows_plan plan = {shape[i][0], shape[i][1], divide_up(a->n_out, outs), split};
            if (split > 1 && plan.n_tiles * split > MAX_WAVES * n_sm)
                break;
            long long cost = plan_cost(&plan, n_steps, n_sm);
            if (best_cost < 0 || cost < best_cost) {
                best = plan;
                best_cost = cost;
            }
        }
    return best;
}

template <enum weight_type TYPE, int NT>
static void (*rows_kernel_of(const struct rows_plan *plan))(struct matmul_rows_params)
{
    if (plan->mw == 4)
        return matmul_rows_kernel<TYPE, NT, 4, 2>;
    return plan->mt == 2 ? matmul_rows_kernel<TYPE, NT, 1, 2> : matmul_rows_kernel<TYPE, NT, 1, 1>;
}

template <enum weight_type TYPE>
static void (*rows_kernel_for(const struct rows_plan *plan, int n_tiles))(struct matmul_rows_params)
{
    switch (n_tiles) {
    case 1:
        return rows_kernel_of<TYPE, 1>(plan);
    case 2:
        return rows_kernel_of<TYPE, 2>(plan);
    case 3:
        return rows_kernel_of<TYPE, 3>(plan);
    default:
        return rows_kernel_of<TYPE, MAX_TILES>(plan);
    }
}

/* Shared memory in bytes, and in p->chunk_shift how much of x that holds: as much
 * as leaves room for a second block beside, and no more than a block's k. */
static size_t plan_shared(struct matmul_rows_params *p, const struct rows_plan *plan, int type,
                          int nt, size_t shared_per_block)
{
    size_t room = (shared_per_block + 1024) / 2 - 1024 - STATIC_SHARED;
    size_t step = matmul_rows_step_bytes(type, nt),
           reduce = matmul_rows_reduce_bytes(nt, plan->mw, plan->mt);
    int steps = divide_up(p->n_steps, plan->n_split);

    p->chunk_shift = 3; /* every step group of a block has one */
    while (1 << p->chunk_shift < steps && step << (p->chunk_shift + 1) <= room)
        p->chunk_shift++;
    size_t stage = step << p->chunk_shift;
    return stage > reduce ? stage : reduce;
}

static enum status run_rows(struct device *dev, const struct matmul_args *a, struct err *err)
{
    static const unsigned zeros[MAX_DONE] = {0};
    const struct device_cuda_limits *limits = device_cuda_limits(dev);
    struct rows_plan plan = make_plan(a, limits->n_sm);
    int tiles = divide_up(a->n_rows, 8), groups = divide_up(tiles, MAX_TILES);
    int nt = tiles <= 3 ? tiles : MAX_TILES;
    size_t done_bytes = (size_t)groups * (size_t)plan.n_tiles * sizeof(unsigned);
    struct device_cuda_op op = {"matmul", 0, 0, 1};
    struct matmul_rows_params p;
    void *scratch = NULL;

    memset(&p, 0, sizeof p);
    if (plan.n_split > 1) {
        CHECK(done_bytes <= sizeof zeros);
        op.args_bytes = op_cuda_round(done_bytes);
        op.scratch_bytes = (size_t)plan.n_split * (size_t)a->n_rows * (size_t)plan.n_tiles *
                           (size_t)(plan.mw * plan.mt * 16) * sizeof(float);
    }
    p.out = a->out;
    p.x = a->x;
    p.w = (const unsigned char *)a->w;
    p.bias = a->bias;
    p.n_rows = a->n_rows;
    p.n_in = a->n_in;
    p.n_out = a->n_out;
    p.n_steps = divide_up(a->n_in, ROWS_STEP);
    p.n_split = plan.n_split;
    p.accumulate = a->accumulate;
    p.x_aligned = is_aligned(a->x, 16);
    size_t shared = plan_shared(&p, &plan, a->type, nt, limits->shared_per_block);
    enum status st = device_cuda_begin(dev, &op, &scratch, err);
    p.partial = (float *)scratch;
    if (st == ST_OK && plan.n_split > 1) {
        const void *done = NULL;
        st = device_cuda_args(dev, zeros, done_bytes, &done, err);
        p.done = (unsigned *)(uintptr_t)done;
    }
    if (st != ST_OK)
        return st;
    dim3 grid((unsigned)plan.n_tiles, (unsigned)plan.n_split, (unsigned)groups);
    return cuda_launch(dev,
                       a->type == WEIGHT_BF16 ? rows_kernel_for<WEIGHT_BF16>(&plan, nt)
                                              : rows_kernel_for<WEIGHT_F16>(&plan, nt),
                       grid, dim3(ROWS_THREADS), shared, p, err);
}

template <enum weight_type TYPE, bool BY_FOUR>
static enum status launch_plain(struct device *dev, const struct matmul_plain_params *p,
                                struct err *err)
{
    dim3 grid((unsigned)divide_up(p->n_out, PLAIN_WARPS),
              (unsigned)divide_up(p->n_rows, PLAIN_ROWS));

    return cuda_launch(dev, matmul_plain_kernel<TYPE, BY_FOUR>, grid, dim3(PLAIN_THREADS), 0, *p,
                       err);
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
    return cuda_launch(dev,
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
    return cuda_launch(dev, matmul_gemm_finish_kernel, grid, dim3(GEMM_THREADS), 0, p, err);
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

extern "C" enum status matmul_cuda(struct device *dev, const struct matmul_args *a, struct err *err)
{
    /* What 16-byte loads need; f32 is read by elements otherwise. */
    bool fits =
        a->type == WEIGHT_F32 ? is_aligned(a->w, 4) : a->n_in % 8 == 0 && is_aligned(a->w, 16);

    if (a->n_rows == 0)
        return ST_OK;
    CHECK(a->n_rows > 0 && a->n_in > 0 && a->n_out > 0);
    if (fits && a->n_rows > MATMUL_ROWS)
        return run_many(dev, a, err);
    if (fits && a->type != WEIGHT_F32)
        return run_rows(dev, a, err);
    return run_plain(dev, a, err);
}
