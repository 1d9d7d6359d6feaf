/* One thread per element of K and of V. */
#include "kernels/op_cuda.cuh"

enum { THREADS = 256 };

struct ring_write_params {
    float *k_ring, *v_ring;
    const float *k, *v;
    const uint32_t *slot;
    int row_floats;
};

static __global__ void __launch_bounds__(THREADS) ring_write_kernel(struct ring_write_params p)
{
    op_cuda_start();
    const size_t n = (size_t)p.row_floats, i = (size_t)blockIdx.y * THREADS + threadIdx.x;
    const size_t in = blockIdx.x * n + i, out = (size_t)p.slot[blockIdx.x] * n + i;

    if (i >= n)
        return;
    p.k_ring[out] = p.k[in];
    p.v_ring[out] = p.v[in];
}

extern "C" enum status ring_write_cuda(struct device *dev, const struct ring_write_args *a,
                                       struct err *err)
{
    const size_t slot_bytes = (size_t)a->n_rows * sizeof *a->slot;
    struct ring_write_params p;
    const void *slot;
    enum status st;

    if (a->n_rows <= 0 || a->row_floats <= 0)
        return ST_OK;
    st = op_cuda_begin(dev, "ring_write", a->slot, slot_bytes, &slot, err);
    if (st != ST_OK)
        return st;
    memset(&p, 0, sizeof p);
    p.k_ring = a->k_ring;
    p.v_ring = a->v_ring;
    p.k = a->k;
    p.v = a->v;
    p.slot = (const uint32_t *)slot;
    p.row_floats = a->row_floats;
    const dim3 grid((unsigned)a->n_rows, ((unsigned)a->row_floats + THREADS - 1) / THREADS);
    return cuda_launch_early(dev, ring_write_kernel, grid, dim3(THREADS), 0, p, err);
}
