/*
 * attention_tile_kernel.cuh - the fast attention kernel over the parts beside it, and its launch.
 */
#ifndef KERNELS_ATTENTION_TILE_KERNEL_CUH
#define KERNELS_ATTENTION_TILE_KERNEL_CUH

#include <string.h>

#include "kernels/attention_tile_pieces.cuh"
#include "kernels/attention_tile_score.cuh"
#include "kernels/attention_tile_value.cuh"
#include "kernels/cuda_launch.cuh"
#include "kernels/op_cuda.cuh"

/* What a block's rows see together. */
struct tile_reach {
    uint32_t least_limit, most_limit, least_first, most_first;
};

/* Shared memory of a block, in the order of tile_shared_at. */
template <int D, int MT, int F, int SLOTS>
static __host__ __device__ constexpr size_t tile_bytes_of()
{
    const int q = MT * D * 64, p = MT * TILE_STEPS * 1024;
    const int factors = F == KV_F16 ? q + p : q > p ? q : p;
    return factors + SLOTS * tile_slot_bytes<D, F>() + (2 * TILE_WARPS + 2) * MT * TILE_ROWS * 4;
}

template <int D, int MT, int F, int SLOTS> TILE_FN tile_shared tile_shared_at(char *bytes)
{
    const int q = MT * (D / 16) * 32, p = MT * TILE_STEPS * 32;
    tile_shared s;

    s.slots = bytes;
    s.q_hi = reinterpret_cast<uint4 *>(bytes + SLOTS * tile_slot_bytes<D, F>());
    s.q_lo = s.q_hi + q;
    /* Quantized pages have factors of Q of their own, which are done with when P comes. */
    s.p_hi = F == KV_F16 ? s.q_lo + q : s.q_hi;
    s.p_lo = s.p_hi + p;
    s.warp_max =
        reinterpret_cast<float *>(s.q_hi + (F == KV_F16 ? 2 * (q + p) : 2 * (q > p ? q : p)));
    s.warp_base = s.warp_max + TILE_WARPS * MT * TILE_ROWS;
    s.limit = reinterpret_cast<uint32_t *>(s.warp_base + TILE_WARPS * MT * TILE_ROWS);
    s.first = s.limit + MT * TILE_ROWS;
    return s;
}

/* Limits of the block's rows to shared memory, and what they see together. */
template <int MT>
TILE_FN tile_reach tile_reach_of(const attention_cuda_params &p, int first_row, int lane,
                                 const tile_shared &shared)
{
    tile_reach reach = {0xffffffffu, 0, 0xffffffffu, 0};

    for (int i = lane; i < MT * TILE_ROWS; i += 32) {
        const int row = first_row + i;
        uint32_t limit = 0xffffffffu, first = 0;
        if (row < p.n_rows * p.group) {
            limit = p.limit[row / p.group];
            first = p.window > 0 && limit > p.window ? limit - p.window : 0;
            reach.most_limit = max(reach.most_limit, limit);
            reach.least_first = min(reach.least_first, first);
        }
        reach.least_limit = min(reach.least_limit, limit);
        reach.most_first = max(reach.most_first, first);
        shared.limit[i] = limit; /* every warp writes the same */
        shared.first[i] = first;
    }
    TILE_UNROLL
    for (int step = 16; step > 0; step /= 2) {
        reach.least_limit =
            min(reach.least_limit, __shfl_xor_sync(0xffffffffu, reach.least_limit, step));
        reach.most_limit =
            max(reach.most_limit, __shfl_xor_sync(0xffffffffu, reach.most_limit, step));
        reach.least_first =
            min(reach.least_first, __shfl_xor_sync(0xffffffffu, reach.least_first, step));
        reach.most_first =
            max(reach.most_first, __shfl_xor_sync(0xffffffffu, reach.most_first, step));
    }
    return reach;
}

/* Empty states, and this warp's part of q * scale, each row by a power of two below 2^14. */
template <int D, int MT>
TILE_FN void tile_rows_start(tile_rows<D, MT> *rows, const attention_cuda_params &p, int first_row,
                             const tile_thread &t, const tile_shared &shared)
{
    TILE_UNROLL
    for (int n = 0; n < 2 * MT; n++) {
        const int m = n / 2, r = n % 2, row = m * TILE_ROWS + t.g + 8 * r;
        const bool there = first_row + row < p.n_rows * p.group;
        const float *q = p.q + (there ? attention_at(p, blockIdx.x, first_row + row) : 0);
        float most = 0.0f;
        TILE_UNROLL
        for (int i = 0; i < D / 32; i++) { /* half a step: two neighbours of a row */
            const int d = 16 * (t.warp * (D / 64) + i / 2) + 2 * t.c + 8 * (i % 2);
            float *to = &rows->q[m][i / 2][4 * (i % 2) + 2 * r];
            float2 x = make_float2(0.0f, 0.0f);
            if (there)
                x = *reinterpret_cast<const float2 *>(q + d);
            to[0] = x.x * p.scale;
            to[1] = x.y * p.scale;
            most = fmaxf(most, fmaxf(fabsf(to[0]), fabsf(to[1])));
        }
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        if (t.c == 0)
            shared.warp_max[t.warp * MT * TILE_ROWS + row] = most;
        rows->max[m][r] = -INFINITY;
        rows->sum[m][r] = rows->low[m][r] = 0.0f;
    }
    __syncthreads();
    TILE_UNROLL
    for (int n = 0; n < 2 * MT; n++) {
        const int m = n / 2, r = n % 2, row = m * TILE_ROWS + t.g + 8 * r;
        float most = 0.0f;
        TILE_UNROLL
        for (int w = 0; w < TILE_WARPS; w++)
            most = fmaxf(most, shared.warp_max[w * MT * TILE_ROWS + row]);
        rows->inv[m][r] = tile_power(most) * 0x1p-13f;
        TILE_UNROLL
        for (int i = 0; i < D / 64; i++)
            TILE_UNROLL
        for (int h = 0; h < 4; h++)
            rows->q[m][i][2 * r + h % 2 + h / 2 * 4] *= tile_inverse(rows->inv[m][r]);
    }
    TILE_UNROLL
    for (int i = 0; i < MT * D / 32 * 4; i++)
        rows->acc[i / (D / 8)][i / 4 % (D / 32)][i % 4] = 0.0f;
    __syncthreads(); /* warp_max is free again */
}

/* Zeros for the tokens of half a page of V that no row sees: 0 times what may lie there must be 0. */
template <int D> TILE_FN void tile_clear(char *v, uint32_t first_token, const tile_reach &reach)
{
    enum { ROW = tile_page<D>::F16_V_ROW };

    if (first_token >= reach.least_first && first_token + 64 <= reach.most_limit)
        return;
    for (int i = threadIdx.x; i < 64 * ROW / 16; i += TILE_THREADS) {
        const uint32_t token = first_token + i * 16 / ROW;
        if (token < reach.least_first || token >= reach.most_limit)
            *reinterpret_cast<uint4 *>(v + i * 16) = make_uint4(0, 0, 0, 0);
    }
    __syncthreads();
}

template <int D, int MT, int F, int SLOTS>
TILE_FN void tile_visit_f16(tile_rows<D, MT> *rows, tile_ring<D, F, SLOTS> *ring,
                            const tile_visit &visit, const tile_reach &reach, const tile_thread &t,
                            const tile_shared &shared)
{
    float s[MT][4][4] = {}, o[MT][D / 32][4] = {}, alpha[MT][2];
    const tile_scales none = {nullptr, nullptr};

    TILE_UNROLL
    for (int half = 0; half < 2; half++) {
        const char *k = tile_ring_take(ring);
        if (F != KV_F16 && half == 0) {
            tile_score_factors<D, MT>(t, *rows, none, shared);
            __syncthreads();
        }
        tile_score_f16<D, MT>(s, half, k, t, shared);
    }
    tile_score_finish<KV_F16, D, MT>(s, 1.0f, visit, t, *rows, shared);
    char *v = tile_ring_take(ring);
    tile_value_max(rows, alpha, t, shared.warp_max);
    tile_value_weigh<KV_F16>(s, rows, alpha, t, nullptr);
    const float power = tile_value_factors<KV_F16, MT>(s, nullptr, t, shared);
    __syncthreads();
    TILE_UNROLL
    for (int half = 0; half < 2; half++) {
        if (half == 1)
            v = tile_ring_take(ring);
        if (!visit.full)
            tile_clear<D>(v, visit.page * PAGE_TOKENS + 64 * half, reach);
        tile_value_products<KV_F16, D, MT>(o, v, 4 * half, 4, t, shared);
    }
    tile_value_fold<D, MT>(rows, o, alpha, power);
}

template <int D, int MT, int F, int SLOTS>
TILE_FN void tile_visit_quantized(tile_rows<D, MT> *rows, tile_ring<D, F, SLOTS> *ring,
                                  const tile_visit &visit, const tile_thread &t,
                                  const tile_shared &shared)
{
    using page = tile_page<D>;
    float s[MT][4][4] = {}, o[MT][D / 32][4] = {}, alpha[MT][2];
    const char *k = tile_ring_take(ring), *v;
    const float *k_scale =
        reinterpret_cast<const float *>(k + (F == KV_INT8 ? page::INT8_K : page::INT4_K));
    const tile_scales scales = {k_scale, F == KV_INT4 ? k_scale + D : nullptr};

    const float k_power = tile_score_factors<D, MT>(t, *rows, scales, shared);
    __syncthreads();
    if (F == KV_INT8)
        tile_score_int8<D, MT>(s, k, t, shared);
    else
        tile_score_int4<D, MT>(s, k, t, shared);
    tile_score_finish<F, D, MT>(s, k_power, visit, t, *rows, shared);
    if (F == KV_INT8) {
        v = tile_ring_take(ring);
    } else {
        v = k + page::INT4_V_AT;
        __syncthreads();
    }
    const float *v_scale =
        reinterpret_cast<const float *>(v + (F == KV_INT8 ? page::INT8_V : page::INT4_V));
    tile_value_max(rows, alpha, t, shared.warp_max);
    tile_value_weigh<F>(s, rows, alpha, t, v_scale + PAGE_TOKENS);
    const float power = tile_value_factors<F, MT>(s, v_scale, t, shared);
    __syncthreads();
    tile_value_products<F, D, MT>(o, v, 0, TILE_STEPS, t, shared);
    tile_value_fold<D, MT>(rows, o, alpha, power);
}

/* The sum of a lane's part over the lanes of a row and the warps, in one order. */
TILE_FN float tile_rows_sum(float x, float *of_warp, int stride, const tile_thread &t)
{
    float sum = 0.0f;

    x += __shfl_xor_sync(0xffffffffu, x, 1);
    x += __shfl_xor_sync(0xffffffffu, x, 2);
    if (t.c == 0)
        of_warp[t.warp * stride] = x;
    __syncthreads();
    TILE_UNROLL
    for (int w = 0; w < TILE_WARPS; w++)
        sum += of_warp[w * stride];
    __syncthreads();
    return sum;
}

template <int D, int MT>
TILE_FN void tile_rows_finish(const tile_rows<D, MT> &rows, const attention_cuda_params &p,
                              int first_row, const tile_thread &t, const tile_shared &shared)
{
    TILE_UNROLL
    for (int n = 0; n < 2 * MT; n++) {
        const int m = n / 2, r = n % 2, row = m * TILE_ROWS + t.g + 8 * r;
        const int stride = MT * TILE_ROWS, i = first_row + row;
        const float sum = tile_rows_sum(rows.sum[m][r], shared.warp_max + row, stride, t);
        const float low = tile_rows_sum(rows.low[m][r], shared.warp_base + row, stride, t);
        if (i >= p.n_rows * p.group)
            continue;
        const size_t state = attention_state_at(p, blockIdx.y, blockIdx.x, i);
        const float shrink = p.direct ? 1.0f / sum : 1.0f;
        float *out = p.direct ? p.out + attention_at(p, blockIdx.x, i) : p.acc + state * D;
        if (!p.direct && t.warp == 0 && t.c == 0)
            p.state[state] = make_float2(rows.max[m][r], sum);
        out += D / 4 * t.warp + D / 16 * t.c;
        TILE_UNROLL
        for (int j = 0; j < D / 16; j += 4) {
            float x[4];
            TILE_UNROLL
            for (int k = 0; k < 4; k++) {
                const int column = 2 * r + (j + k) / (D / 32);
                x[k] = (rows.acc[m][(j + k) % (D / 32)][column] + low) * shrink;
            }
            *reinterpret_cast<float4 *>(out + j) = make_float4(x[0], x[1], x[2], x[3]);
        }
    }
}

/* Blocks that a multiprocessor holds at once, by the 227 KiB of one of compute capability 9.0: they
 * hide each other's barriers. More than one tile of rows needs the registers of two. */
template <int D, int MT, int F, int SLOTS> static constexpr int tile_blocks()
{
    const int fit = (int)((228 << 10) / (tile_bytes_of<D, MT, F, SLOTS>() + 1024));
    const int most = MT > 1 ? 2 : D == 256 ? 3 : 4;
    return fit < most ? fit : most;
}

template <int D, int MT, int F, int SLOTS>
static __global__ void __launch_bounds__(TILE_THREADS, tile_blocks<D, MT, F, SLOTS>())
    tile_kernel(struct attention_cuda_params p)
{
    op_cuda_start();
    CUDA_SHARED(char, bytes);
    const tile_shared shared = tile_shared_at<D, MT, F, SLOTS>(bytes);
    const tile_thread t = {(int)threadIdx.x / 32, (int)threadIdx.x % 32, (int)threadIdx.x % 32 / 4,
                           (int)threadIdx.x % 4};
    const int first_row = (int)blockIdx.z * MT * TILE_ROWS;
    const attention_cuda_span span = *p.span;
    tile_ring<D, F, SLOTS> ring;
    tile_rows<D, MT> rows;

    if (blockIdx.y >= span.n_splits)
        return;
    const tile_reach reach = tile_reach_of<MT>(p, first_row, t.lane, shared);
    const uint32_t begin = span.first_page + blockIdx.y * p.split_pages;
    tile_cursor now = {
        p.pages - span.first_page,
        nullptr,
        blockIdx.x * p.sealed_head_bytes,
        blockIdx.x * p.tail_head_bytes,
        max(begin, reach.least_first / PAGE_TOKENS),
        min(min(begin + p.split_pages, span.end_page), (reach.most_limit - 1) / PAGE_TOKENS + 1),
        true};
    tile_cursor_settle(&now);
    ring = {now, shared.slots, 0, 0, 0};
    TILE_UNROLL
    for (int i = 0; i < SLOTS - 1; i++)
        tile_ring_fill(&ring);
    tile_rows_start<D, MT>(&rows, p, first_row, t, shared);
    if (F == KV_F16) {
        const tile_scales none = {nullptr, nullptr};
        tile_score_factors<D, MT>(t, rows, none, shared); /* seen behind the first take */
    }
    for (; now.head != nullptr; tile_cursor_next(&now)) {
        const attention_cuda_page page = now.pages[now.page];
        const uint32_t token = now.page * PAGE_TOKENS;
        const bool mixed = page.sealed != nullptr && page.tail != nullptr;
        const bool all = token + PAGE_TOKENS <= reach.least_limit && token >= reach.most_first;
        const tile_visit visit = {now.page, all && !mixed, now.sealed, mixed};

        if (F == KV_F16 || !now.sealed)
            tile_visit_f16<D, MT, F, SLOTS>(&rows, &ring, visit, reach, t, shared);
        else
            tile_visit_quantized<D, MT, F, SLOTS>(&rows, &ring, visit, t, shared);
    }
    ptx_cp_async_wait<0>();
    __syncthreads();
    tile_rows_finish<D, MT>(rows, p, first_row, t, shared);
}

/* Slots of the ring: as many as leave room for several blocks on a multiprocessor. */
template <int D, int MT, int F> static constexpr int tile_slots()
{
    return F == KV_INT4 || MT > 2 || D == 256 ? 2 : 3;
}

template <int D, int MT, int F>
static enum status tile_launch(struct device *dev, const struct attention_cuda_plan *plan,
                               struct err *err)
{
    const struct attention_cuda_params *p = &plan->params;
    const int blocks = (p->n_rows * p->group + MT * TILE_ROWS - 1) / (MT * TILE_ROWS);
    const dim3 grid((unsigned)p->n_kv, (unsigned)plan->n_splits, (unsigned)blocks);

    return cuda_launch_early(dev, tile_kernel<D, MT, F, tile_slots<D, MT, F>()>, grid,
                             dim3(TILE_THREADS), tile_bytes_of<D, MT, F, tile_slots<D, MT, F>()>(),
                             *p, err);
}

/* As few blocks as hold the rows, of the sizes that fit the device. A row's bits are the same in
 * each. */
template <int D, int F>
static enum status tile_choose(struct device *dev, const struct attention_cuda_plan *plan,
                               struct err *err)
{
    enum { MOST = D == 256 ? 2 : F == KV_F16 ? 4 : 3 };
    const int tiles = (plan->params.n_rows * plan->params.group + TILE_ROWS - 1) / TILE_ROWS;

    if (tiles > 2 && MOST > 2 &&
        tile_bytes_of<D, MOST, F, tile_slots<D, MOST, F>()>() <= plan->shared_limit)
        return tile_launch<D, MOST, F>(dev, plan, err);
    if (tiles > 1 && tile_bytes_of<D, 2, F, tile_slots<D, 2, F>()>() <= plan->shared_limit)
        return tile_launch<D, 2, F>(dev, plan, err);
    return tile_launch<D, 1, F>(dev, plan, err);
}

template <int D>
static enum status tile_run(struct device *dev, const struct attention_cuda_plan *plan,
                            struct err *err)
{
    if (plan->params.sealed_format == KV_INT8)
        return tile_choose<D, KV_INT8>(dev, plan, err);
    if (plan->params.sealed_format == KV_INT4)
        return tile_choose<D, KV_INT4>(dev, plan, err);
    return tile_choose<D, KV_F16>(dev, plan, err);
}

#endif
