/*
 * One thread per element: a row is a few KiB, and the launch costs more than
 * the copy.
 */
#include "kernels/op_cuda.cuh"
#include "kernels/weight_cuda.cuh"

enum { THREADS = 256 };

struct embed_params {
    float *out;
    const void *table;
    const int32_t *token;
    enum weight_type type;
    int n_cols;
};

static __global__ void __launch_bounds__(THREADS) embed_kernel(struct embed_params p)
{
    op_cuda_start();
    const int c = (int)(blockIdx.y * THREADS + threadIdx.x);
    const size_t n = (size_t)p.n_cols, r = blockIdx.x;

    if (c < p.n_cols)
        p.out[r * n + (size_t)c] =
            weight_cuda_get(p.table, p.type, (size_t)p.token[r] * n + (size_t)c);
}

extern "C" enum status embed_cuda(struct device *dev, const struct embed_args *a, struct err *err)
{
    const size_t token_bytes = (size_t)a->n_rows * sizeof *a->token;
    struct embed_params p;
    const void *token;
    enum status st;

    if (a->n_rows <= 0 || a->n_cols <= 0)
        return ST_OK;
    st = op_cuda_begin(dev, "embed", a->token, token_bytes, &token, err);
    if (st != ST_OK)
        return st;
    memset(&p, 0, sizeof p);
    p.out = a->out;
    p.table = a->table;
    p.token = (const int32_t *)token;
    p.type = a->type;
    p.n_cols = a->n_cols;
    const dim3 grid((unsigned)a->n_rows, ((unsigned)a->n_cols + THREADS - 1) / THREADS);
    return cuda_launch_early(dev, embed_kernel, grid, dim3(THREADS), 0, p, err);
}
