/*
 * A warp for a short row (heads), a block for a long one; which of them depends
 * on n_cols alone, so that a row's bits do not depend on the others. The row is
 * read twice; the second time it comes from L1.
 */
#include "kernels/op_cuda.cuh"
#include "kernels/reduce_cuda.cuh"
#include "kernels/weight_cuda.cuh"

enum {
    SHORT_COLS = 512, /* 16 elements a lane */
    SHORT_THREADS = 128,
    LONG_THREADS = 512
};

struct rmsnorm_params {
    float *out;
    const float *in;
    const void *weight;
    enum weight_type type;
    int n_rows, n_cols;
    float eps;
};

/* This thread's part of the sum of squares; `n` threads share the row. */
static __device__ __forceinline__ float partial_squares(const float *in, int n_cols, int i, int n)
{
    float sum = 0.0f;

#pragma unroll 8
    for (int c = i; c < n_cols; c += n)
        sum += in[c] * in[c];
    return sum;
}

static __device__ __forceinline__ void write_row(const struct rmsnorm_params &p, size_t row,
                                                 float sum, int i, int n)
{
    const float scale = __fdiv_rn(1.0f, __fsqrt_rn(sum / (float)p.n_cols + p.eps));
    const float *in = p.in + row;
    float *out = p.out + row;

#pragma unroll 8
    for (int c = i; c < p.n_cols; c += n)
        out[c] = in[c] * scale * weight_cuda_get(p.weight, p.type, (size_t)c);
}

static __global__ void __launch_bounds__(SHORT_THREADS)
    rmsnorm_short_kernel(struct rmsnorm_params p)
{
    op_cuda_start();
    const int i = (int)(threadIdx.x % WARP_LANES);
    const unsigned r = blockIdx.x * (SHORT_THREADS / WARP_LANES) + threadIdx.x / WARP_LANES;
    const size_t row = (size_t)r * (size_t)p.n_cols;

    if (r >= (unsigned)p.n_rows)
        return; /* a whole warp */
    write_row(p, row, reduce_warp_sum(partial_squares(p.in + row, p.n_cols, i, WARP_LANES)), i,
              WARP_LANES);
}

static __global__ void __launch_bounds__(LONG_THREADS) rmsnorm_long_kernel(struct rmsnorm_params p)
{
    op_cuda_start();
    __shared__ float shared[REDUCE_SHARED];
    const int i = (int)threadIdx.x;
    const size_t row = (size_t)blockIdx.x * (size_t)p.n_cols;
    const float part = partial_squares(p.in + row, p.n_cols, i, LONG_THREADS);

    write_row(p, row, reduce_block_sum(part, shared), i, LONG_THREADS);
}

extern "C" enum status rmsnorm_cuda(struct device *dev, const struct rmsnorm_args *a,
                                    struct err *err)
{
    static const struct device_cuda_op op = {"rmsnorm", 0, 0, 1};
    const unsigned rows = (unsigned)a->n_rows, per_block = SHORT_THREADS / WARP_LANES;
    struct rmsnorm_params p;
    enum status st;

    if (a->n_rows <= 0)
        return ST_OK;
    st = device_cuda_begin(dev, &op, NULL, err);
    if (st != ST_OK)
        return st;
    memset(&p, 0, sizeof p);
    p.out = a->out;
    p.in = a->in;
    p.weight = a->weight;
    p.type = a->type;
    p.n_rows = a->n_rows;
    p.n_cols = a->n_cols;
    p.eps = a->eps;
    if (a->n_cols <= SHORT_COLS)
        return cuda_launch_early(dev, rmsnorm_short_kernel,
                                 dim3((rows + per_block - 1) / per_block), dim3(SHORT_THREADS), 0,
                                 p, err);
    return cuda_launch_early(dev, rmsnorm_long_kernel, dim3(rows), dim3(LONG_THREADS), 0, p, err);
}
