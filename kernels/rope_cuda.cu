/* One thread per pair of elements. */
#include "kernels/op_cuda.cuh"

enum { THREADS = 256 };

struct rope_params {
    float *x;
    const float *cos, *sin;
    const uint32_t *pos;
    int n_heads, half;
};

static __global__ void __launch_bounds__(THREADS) rope_kernel(struct rope_params p)
{
    op_cuda_start();
    const int at = (int)(blockIdx.y * THREADS + threadIdx.x), half = p.half;
    const int h = at / half, i = at % half;

    if (h >= p.n_heads)
        return;
    float *x = p.x + ((size_t)blockIdx.x * (size_t)p.n_heads + (size_t)h) * 2 * (size_t)half + i;
    const size_t table = (size_t)p.pos[blockIdx.x] * (size_t)half + (size_t)i;
    const float c = p.cos[table], s = p.sin[table], lo = x[0], hi = x[half];
    x[0] = lo * c - hi * s;
    x[half] = hi * c + lo * s;
}

extern "C" enum status rope_cuda(struct device *dev, const struct rope_args *a, struct err *err)
{
    const size_t pos_bytes = (size_t)a->n_rows * sizeof *a->pos;
    const unsigned pairs = (unsigned)a->n_heads * ((unsigned)a->head_dim / 2);
    struct rope_params p;
    const void *pos;
    enum status st;

    if (a->n_rows <= 0 || pairs == 0)
        return ST_OK;
    st = op_cuda_begin(dev, "rope", a->pos, pos_bytes, &pos, err);
    if (st != ST_OK)
        return st;
    memset(&p, 0, sizeof p);
    p.x = a->x;
    p.cos = a->cos;
    p.sin = a->sin;
    p.pos = (const uint32_t *)pos;
    p.n_heads = a->n_heads;
    p.half = a->head_dim / 2;
    const dim3 grid((unsigned)a->n_rows, (pairs + THREADS - 1) / THREADS);
    return cuda_launch_early(dev, rope_kernel, grid, dim3(THREADS), 0, p, err);
}
