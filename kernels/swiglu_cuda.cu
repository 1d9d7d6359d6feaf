/* One thread per element. */
#include "kernels/op_cuda.cuh"

enum { THREADS = 256 };

struct swiglu_params {
    float *out;
    const float *gate, *up;
    size_t n;
};

static __global__ void __launch_bounds__(THREADS) swiglu_kernel(struct swiglu_params p)
{
    op_cuda_start();
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;

    if (i < p.n)
        p.out[i] = p.gate[i] / (1.0f + expf(-p.gate[i])) * p.up[i];
}

extern "C" enum status swiglu_cuda(struct device *dev, const struct swiglu_args *a, struct err *err)
{
    static const struct device_cuda_op op = {"swiglu", 0, 0, 1};
    struct swiglu_params p;
    enum status st;

    memset(&p, 0, sizeof p);
    p.out = a->out;
    p.gate = a->gate;
    p.up = a->up;
    if (a->n_rows <= 0 || a->n_cols <= 0)
        return ST_OK;
    p.n = (size_t)a->n_rows * (size_t)a->n_cols;
    st = device_cuda_begin(dev, &op, NULL, err);
    if (st != ST_OK)
        return st;
    return cuda_launch_early(dev, swiglu_kernel, dim3((unsigned)((p.n + THREADS - 1) / THREADS)),
                             dim3(THREADS), 0, p, err);
}
