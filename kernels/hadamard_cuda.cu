/*
 * One warp per vector, in shared memory: log2(B) passes of sums and differences,
 * in the order of the cpu device, then one product by 1 / sqrt(B).
 */
#include <math.h>

#include "kernels/op_cuda.cuh"
#include "kernels/reduce_cuda.cuh"

extern "C" {
#include "kernels/hadamard.h"
#include "kernels/kv_format.h"
}

enum { WARPS = 4, THREADS = WARPS * WARP_LANES };

struct hadamard_params {
    float *x;
    const float *sign;
    int n_vectors, head_dim, block;
    float norm;
};

static __global__ void __launch_bounds__(THREADS) hadamard_kernel(struct hadamard_params p)
{
    op_cuda_start();
    __shared__ float shared[WARPS][KV_MAX_HEAD_DIM];
    const int lane = (int)(threadIdx.x % WARP_LANES), D = p.head_dim;
    const unsigned vector = blockIdx.x * WARPS + threadIdx.x / WARP_LANES;
    float *y = shared[threadIdx.x / WARP_LANES];

    if (vector >= (unsigned)p.n_vectors)
        return; /* a whole warp */
    float *x = p.x + (size_t)vector * (size_t)D;
    for (int i = lane; i < D; i += WARP_LANES)
        y[i] = p.sign != NULL ? x[i] * p.sign[i] : x[i];
    for (int half = 1; half < p.block; half *= 2) {
        __syncwarp();
        for (int i = lane; i < D / 2; i += WARP_LANES) {
            int lo = i / half * 2 * half + i % half, hi = lo + half;
            float sum = y[lo] + y[hi], difference = y[lo] - y[hi];
            y[lo] = sum;
            y[hi] = difference;
        }
    }
    __syncwarp();
    for (int i = lane; i < D; i += WARP_LANES)
        x[i] = y[i] * p.norm;
}

extern "C" enum status hadamard_cuda(struct device *dev, const struct hadamard_args *a,
                                     struct err *err)
{
    static const struct device_cuda_op op = {"hadamard", 0, 0, 1};
    struct hadamard_params p;
    enum status st;

    if (a->n_vectors <= 0)
        return ST_OK;
    if (a->head_dim <= 0 || a->head_dim % 8 != 0 || a->head_dim > KV_MAX_HEAD_DIM)
        return err_set(err, ST_INVALID, "head_dim %d: must be a multiple of 8, at most %d",
                       a->head_dim, KV_MAX_HEAD_DIM);
    st = device_cuda_begin(dev, &op, NULL, err);
    if (st != ST_OK)
        return st;
    memset(&p, 0, sizeof p);
    p.x = a->x;
    p.sign = a->sign;
    p.n_vectors = a->n_vectors;
    p.head_dim = a->head_dim;
    p.block = (int)hadamard_block((uint32_t)a->head_dim);
    p.norm = (float)(1.0 / sqrt((double)p.block));
    return cuda_launch_early(dev, hadamard_kernel,
                             dim3(((unsigned)a->n_vectors + WARPS - 1) / WARPS), dim3(THREADS), 0,
                             p, err);
}
