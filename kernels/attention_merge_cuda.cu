/*
 * The states of a row's splits to its result: all are shrunk to the greatest maximum and added in
 * the order of splits. One block per row and head.
 *
 * A kernel of its own: were it the last block of each head that merges, it would need a counter
 * and would leave the other multiprocessors idle.
 */
#include "kernels/attention_cuda.cuh"
#include "kernels/cuda_launch.cuh"

enum { MERGE_THREADS = 64 };

static __global__ void __launch_bounds__(MERGE_THREADS)
    attention_merge_kernel(struct attention_cuda_params p)
{
    const uint32_t n_splits = p.span->n_splits, kv_head = blockIdx.x, i = blockIdx.y;
    const size_t at = attention_state_at(p, 0, kv_head, i);
    const size_t step = attention_state_at(p, 1, 0, 0);
    float most = -INFINITY, total = 0.0f;

    for (uint32_t s = 0; s < n_splits; s++)
        most = fmaxf(most, p.state[at + s * step].x);
    for (uint32_t s = 0; s < n_splits; s++) {
        const float2 state = p.state[at + s * step];
        total = fmaf(state.y, exp2f(state.x - most), total);
    }
    for (uint32_t d = threadIdx.x * 4; d < p.head_dim; d += MERGE_THREADS * 4) {
        float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 8
        for (uint32_t s = 0; s < n_splits; s++) {
            /* A split that the row does not see has weight 0 and a state of zeros. */
            const float weight = exp2f(p.state[at + s * step].x - most);
            const float4 x =
                *reinterpret_cast<const float4 *>(p.acc + (at + s * step) * p.head_dim + d);
            sum = make_float4(fmaf(x.x, weight, sum.x), fmaf(x.y, weight, sum.y),
                              fmaf(x.z, weight, sum.z), fmaf(x.w, weight, sum.w));
        }
        const float inv = 1.0f / total;
        *reinterpret_cast<float4 *>(p.out + attention_at(p, kv_head, i) + d) =
            make_float4(sum.x * inv, sum.y * inv, sum.z * inv, sum.w * inv);
    }
}

enum status attention_merge(struct device *dev, const struct attention_cuda_plan *plan,
                            struct err *err)
{
    const struct attention_cuda_params *p = &plan->params;
    const dim3 grid((unsigned)p->n_kv, (unsigned)(p->n_rows * p->group));

    return cuda_launch(dev, attention_merge_kernel, grid, dim3(MERGE_THREADS), 0, *p, err);
}
