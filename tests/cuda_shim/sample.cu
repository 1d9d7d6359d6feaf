#include "kernels/cuda_launch.cuh"
#include "kernels/cuda_ptx.cuh"

extern "C" {
#include "tests/cuda_shim/sample.h"
}

typedef struct sample_args A;

static int linear()
{
    return (int)(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}

static __global__ void index_kernel(A a)
{
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    unsigned n = blockDim.x * blockDim.y * blockDim.z;

    ((uint32_t *)a.out)[block * n + (unsigned)linear()] = block * n + (unsigned)linear();
}

static __global__ void sum_kernel(A a)
{
    __shared__ uint32_t partial[1024];
    int t = linear();

    partial[t] = ((const uint32_t *)a.in)[t];
    for (int step = 1; step < a.n; step *= 2) {
        uint32_t other = 0;
        __syncthreads();
        if (t + step < a.n)
            other = partial[t + step];
        __syncthreads();
        partial[t] += other;
    }
    if (t == 0)
        *(uint32_t *)a.out = partial[0];
}

template <bool BARRIER> static __global__ void mirror_kernel(A a)
{
    __shared__ uint32_t line[1024];
    int t = linear();

    line[a.n - 1 - t] = 77;
    __syncthreads();
    line[a.n - 1 - t] = (uint32_t)(a.n - 1 - t);
    if (BARRIER)
        __syncthreads();
    ((uint32_t *)a.out)[t] = line[t];
}

static __global__ void shuffle_kernel(A a)
{
    uint32_t v = ((const uint32_t *)a.in)[threadIdx.x], r = 0;

    if (a.kind == 0)
        r = __shfl_sync(0xffffffffu, v, a.n, a.width);
    else if (a.kind == 1)
        r = __shfl_up_sync(0xffffffffu, v, (unsigned)a.n, a.width);
    else if (a.kind == 2)
        r = __shfl_down_sync(0xffffffffu, v, (unsigned)a.n, a.width);
    else
        r = __shfl_xor_sync(0xffffffffu, v, a.n, a.width);
    ((uint32_t *)a.out)[threadIdx.x] = r;
}

static __global__ void vote_kernel(A a)
{
    int mine = ((const uint32_t *)a.in)[threadIdx.x] != 0;
    uint32_t ballot = __ballot_sync(0xffffffffu, mine);
    int any = __any_sync(0xffffffffu, mine), all = __all_sync(0xffffffffu, mine);
    uint32_t *out = (uint32_t *)a.out;

    if (threadIdx.x == 0) {
        out[0] = ballot;
        out[1] = (uint32_t)any;
        out[2] = (uint32_t)all;
    }
}

static uint32_t pair(const uint16_t *m, int columns, int row, int column, int next_row)
{
    uint32_t lo = m[row * columns + column];
    uint32_t hi = next_row ? m[(row + 1) * columns + column] : m[row * columns + column + 1];

    return lo | hi << 16;
}

static __global__ void mma_kernel(A a)
{
    const uint16_t *x = (const uint16_t *)a.in, *y = (const uint16_t *)a.in2;
    float *out = (float *)a.out;
    int g = (int)threadIdx.x / 4, t = (int)threadIdx.x % 4;
    uint32_t fa[4] = {pair(x, 16, g, 2 * t, 0), pair(x, 16, g + 8, 2 * t, 0),
                      pair(x, 16, g, 2 * t + 8, 0), pair(x, 16, g + 8, 2 * t + 8, 0)};
    uint32_t fb[2] = {pair(y, 8, 2 * t, g, 1), pair(y, 8, 2 * t + 8, g, 1)};
    float d[4] = {out[g * 8 + 2 * t], out[g * 8 + 2 * t + 1], out[(g + 8) * 8 + 2 * t],
                  out[(g + 8) * 8 + 2 * t + 1]};

    if (a.n)
        ptx_mma_bf16(d, fa, fb);
    else
        ptx_mma_f16(d, fa, fb);
    for (int i = 0; i < 4; i++)
        out[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}

static __global__ void ldmatrix_kernel(A a)
{
    CUDA_SHARED(uint16_t, rows);
    uint32_t r[4];

    memcpy(rows + threadIdx.x * 8, (const uint16_t *)a.in + threadIdx.x * 8, 16);
    __syncwarp();
    if (a.n)
        ptx_ldmatrix_x4_trans(r, rows + threadIdx.x * 8);
    else
        ptx_ldmatrix_x4(r, rows + threadIdx.x * 8);
    memcpy((uint32_t *)a.out + threadIdx.x * 4, r, sizeof r);
}

static __global__ void async_kernel(A a)
{
    CUDA_SHARED(uint4, line);

    ptx_cp_async16(line + threadIdx.x, (const uint4 *)a.in + threadIdx.x);
    ptx_cp_async_commit();
    if (a.n)
        ptx_cp_async_wait<1>();
    else
        ptx_cp_async_wait<0>();
    __syncthreads();
    ((uint4 *)a.out)[threadIdx.x] = line[(threadIdx.x + 1) % 32];
}

static __global__ void half_kernel(A a)
{
    const uint16_t *x = (const uint16_t *)a.in, *y = (const uint16_t *)a.in2;
    uint16_t *out = (uint16_t *)a.out;

    for (int i = (int)threadIdx.x; i < a.n; i += (int)blockDim.x) {
        uint32_t p = x[i] | (uint32_t)y[i] << 16, q = y[i] | (uint32_t)x[i] << 16;
        out[i] = (uint16_t)ptx_add_f16x2(p, q);
        out[a.n + i] = (uint16_t)(ptx_sub_f16x2(q, p) >> 16);
        out[2 * a.n + i] = (uint16_t)ptx_mul_f16x2(p, q);
        out[3 * a.n + i] = (uint16_t)(ptx_fma_f16x2(p, q, p << 16 | p >> 16) >> 16);
    }
}

static __global__ void convert_kernel(A a)
{
    const float *in = (const float *)a.in;
    uint16_t *out = (uint16_t *)a.out;

    for (int i = (int)threadIdx.x; i < a.n; i += (int)blockDim.x)
        out[i] = a.kind ? ptx_f32_to_bf16(in[i]) : ptx_f32_to_f16(in[i]);
}

static __global__ void permute_kernel(A a)
{
    const uint32_t *in = (const uint32_t *)a.in;

    *(uint32_t *)a.out = ptx_prmt(in[0], in[1], (uint32_t)a.n);
}

static __global__ void diverge_kernel(A a)
{
    if (threadIdx.x < blockDim.x / 2)
        __syncthreads();
    else
        __syncthreads();
    ((uint32_t *)a.out)[threadIdx.x] = threadIdx.x;
}

static __global__ void lost_lane_kernel(A a)
{
    uint32_t v = threadIdx.x;

    if (threadIdx.x != 3)
        v = __shfl_sync(0xffffffffu, v, 1);
    __syncthreads();
    ((uint32_t *)a.out)[threadIdx.x] = v;
}

static __global__ void ended_lane_kernel(A a)
{
    if (threadIdx.x == 5)
        return;
    ((uint32_t *)a.out)[threadIdx.x] = __shfl_sync(0xffffffffu, threadIdx.x, 5);
}

static __global__ void misaligned_kernel(A a)
{
    *(uint4 *)a.out = ptx_load_stream(a.in);
}

static __global__ void touch_kernel(A a)
{
    ((volatile unsigned char *)a.out)[a.n] = 1;
}

static __global__ void shared_kernel(A a)
{
    CUDA_SHARED(volatile unsigned char, bytes);

    bytes[a.n] = 1;
}

static __global__ void append_kernel(A a)
{
    uint32_t *out = (uint32_t *)a.out;

    out[atomicAdd(out, 1u) + 1] = (uint32_t)a.n;
}

static __global__ void wait_kernel(A a)
{
    uint32_t *out = (uint32_t *)a.out;

    ptx_grid_launch_dependents();
    if (linear() != a.kind)
        ptx_grid_wait();
    out[atomicAdd(out, 1u) + 1] = (uint32_t)a.n;
}

const void *sample_kernel(enum sample_kernel which)
{
    static void (*const kernels[SAMPLE_COUNT])(A) = {
        index_kernel,   sum_kernel,       mirror_kernel<false>, mirror_kernel<true>,
        shuffle_kernel, vote_kernel,      mma_kernel,           ldmatrix_kernel,
        async_kernel,   half_kernel,      convert_kernel,       permute_kernel,
        diverge_kernel, lost_lane_kernel, ended_lane_kernel,    misaligned_kernel,
        touch_kernel,   shared_kernel,    append_kernel,        wait_kernel,
    };
    const void *address = (const void *)kernels[which];

    shim_kernel_add(address, "sample", sizeof(A), shim_call_kernel<A>);
    return address;
}
