/*
 * The states of a row's splits to its result: all are shrunk to the greatest maximum and added in
 * a fixed order. One block per row and head; part y of it adds every fourth split by absolute
 * index, so that a row's bits do not depend on where the call's splits begin, and the parts' sums
 * are added in order.
 *
 * A kernel of its own: were it the last block of each head that merges, it would need a counter
 * and would leave the other multiprocessors idle.
 */
#include "kernels/attention_cuda.cuh"
#include "kernels/op_cuda.cuh"

/* 64 threads have 4 dimensions each: KV_MAX_HEAD_DIM. */
enum { MERGE_THREADS = 64, MERGE_PARTS = 4 };

struct merge_sum {
    float4 x;
    float total;
};

/* Those of n states that belong to this part; the first is split `split`. `at` and `step`: of
 * state 0 and to the next. */
static __device__ __forceinline__ void merge_add(const attention_cuda_params &p, merge_sum *sum,
                                                 uint32_t n, uint32_t split, size_t at, size_t step,
                                                 float most)
{
    const uint32_t skip = (threadIdx.y - split) % MERGE_PARTS;

#pragma unroll 8
    for (uint32_t s = skip; s < n; s += MERGE_PARTS) {
        const size_t state = at + s * step;
        /* A split that the row does not see has weight 0 and a state of zeros. */
        const float weight = exp2f(__fsub_rn(p.state[state].x, most));
        const float4 x =
            *reinterpret_cast<const float4 *>(p.acc + state * p.head_dim + threadIdx.x * 4);
        sum->x = make_float4(fmaf(x.x, weight, sum->x.x), fmaf(x.y, weight, sum->x.y),
                             fmaf(x.z, weight, sum->x.z), fmaf(x.w, weight, sum->x.w));
        sum->total = fmaf(p.state[state].y, weight, sum->total);
    }
}

static __global__ void __launch_bounds__(MERGE_THREADS *MERGE_PARTS)
    attention_merge_kernel(struct attention_cuda_params p)
{
    __shared__ merge_sum part[MERGE_PARTS][MERGE_THREADS];

    op_cuda_start();
    const attention_cuda_span span = *p.span;
    const uint32_t n = span.n_splits, split = span.first_page / p.split_pages;
    const size_t at = attention_state_at(p, 0, blockIdx.x, blockIdx.y);
    const size_t step = attention_state_at(p, 1, 0, 0);
    merge_sum sum = {{0.0f, 0.0f, 0.0f, 0.0f}, 0.0f};
    float most = -INFINITY;

    for (uint32_t s = threadIdx.x % 32; s < n; s += 32)
        most = fmaxf(most, p.state[at + s * step].x);
    for (int lanes = 16; lanes > 0; lanes /= 2)
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, lanes));
    if (threadIdx.x * 4 < p.head_dim)
        merge_add(p, &sum, n, split, at, step, most);
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || threadIdx.x * 4 >= p.head_dim)
        return;
    for (int y = 1; y < MERGE_PARTS; y++) {
        const merge_sum other = part[y][threadIdx.x];
        sum.x = make_float4(sum.x.x + other.x.x, sum.x.y + other.x.y, sum.x.z + other.x.z,
                            sum.x.w + other.x.w);
        sum.total += other.total;
    }
    const float inv = 1.0f / sum.total;
    *reinterpret_cast<float4 *>(p.out + attention_at(p, blockIdx.x, blockIdx.y) + threadIdx.x * 4) =
        make_float4(sum.x.x * inv, sum.x.y * inv, sum.x.z * inv, sum.x.w * inv);
}

enum status attention_merge(struct device *dev, const struct attention_cuda_plan *plan,
                            struct err *err)
{
    const struct attention_cuda_params *p = &plan->params;
    const dim3 grid((unsigned)p->n_kv, (unsigned)(p->n_rows * p->group));

    return cuda_launch_early(dev, attention_merge_kernel, grid, dim3(MERGE_THREADS, MERGE_PARTS), 0,
                             *p, err);
}
