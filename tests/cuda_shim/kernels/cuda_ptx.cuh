/*
 * cuda_ptx.cuh - the names of kernels/cuda_ptx.cuh in plain C++, for kernels
 * that run on the CPU. What each of them does stands there.
 */
#ifndef KERNELS_CUDA_PTX_CUH
#define KERNELS_CUDA_PTX_CUH

#include <cuda_runtime.h>

#include "kernels/half.h"
#include "tests/cuda_shim/shim_async.h"
#include "tests/cuda_shim/shim_kernel.h"
#include "tests/cuda_shim/shim_warp.h"

#define CUDA_SHARED(type, name) type *name = (type *)shim_kernel_shared()

#define ptx_idp4a(a, b, c) shim_dot4((uint32_t)(a), (uint32_t)(b), (int)(c))

static inline int shim_dot4(uint32_t a, uint32_t b, int c)
{
    unsigned sum = (unsigned)c;

    for (int i = 0; i < 4; i++)
        sum += (unsigned)((int8_t)(a >> 8 * i) * (int8_t)(b >> 8 * i));
    return (int)sum;
}

/* A pointer that must be a multiple of n, as the GPU demands it. */
static inline const void *shim_aligned(const void *p, unsigned n, const char *what, SHIM_HERE)
{
    if ((uintptr_t)p % n != 0)
        shim_block_fail(file, line, "%s: %p is no multiple of %u", what, p, n);
    return p;
}

static inline uint16_t ptx_f32_to_f16(float f)
{
    return f != f ? (uint16_t)0x7fffu : half_to_f16(f);
}

static inline uint16_t ptx_f32_to_bf16(float f)
{
    uint32_t bits = __float_as_uint(f);

    if (f != f)
        return 0x7fffu;
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float ptx_f16_to_f32(uint16_t h)
{
    return half_from_f16(h);
}

static inline float ptx_bf16_to_f32(uint16_t h)
{
    return half_from_bf16(h);
}

static inline uint32_t ptx_pack_f16x2(float lo, float hi)
{
    return ptx_f32_to_f16(lo) | (uint32_t)ptx_f32_to_f16(hi) << 16;
}

static inline uint32_t ptx_pack_bf16x2(float lo, float hi)
{
    return ptx_f32_to_bf16(lo) | (uint32_t)ptx_f32_to_bf16(hi) << 16;
}

static inline float ptx_f16_lo(uint32_t pair)
{
    return half_from_f16((uint16_t)pair);
}

static inline float ptx_f16_hi(uint32_t pair)
{
    return half_from_f16((uint16_t)(pair >> 16));
}

static inline float ptx_bf16_lo(uint32_t pair)
{
    return half_from_bf16((uint16_t)pair);
}

static inline float ptx_bf16_hi(uint32_t pair)
{
    return half_from_bf16((uint16_t)(pair >> 16));
}

/* Sums and products of two f16 are exact in double, so one rounding is made;
 * to f32 first it would be two, which differ. */
static inline uint16_t shim_round_f16(double v)
{
    float f = (float)v;
    double rest = v - (double)f;

    /* Rounded to odd: the last bit of f tells that something was cut off. */
    if (v == v && rest != 0.0 && !(__float_as_uint(f) & 1u)) {
        bool away = (rest > 0) == (f > 0 || (f == 0 && v > 0));
        f = __uint_as_float(__float_as_uint(f) + (away ? 1u : ~0u));
    }
    return ptx_f32_to_f16(f);
}

#define SHIM_PAIRWISE(lo, hi) (shim_round_f16(lo) | (uint32_t)shim_round_f16(hi) << 16)

static inline uint32_t ptx_add_f16x2(uint32_t a, uint32_t b)
{
    return SHIM_PAIRWISE((double)ptx_f16_lo(a) + (double)ptx_f16_lo(b),
                         (double)ptx_f16_hi(a) + (double)ptx_f16_hi(b));
}

static inline uint32_t ptx_sub_f16x2(uint32_t a, uint32_t b)
{
    return SHIM_PAIRWISE((double)ptx_f16_lo(a) - (double)ptx_f16_lo(b),
                         (double)ptx_f16_hi(a) - (double)ptx_f16_hi(b));
}

static inline uint32_t ptx_mul_f16x2(uint32_t a, uint32_t b)
{
    return SHIM_PAIRWISE((double)ptx_f16_lo(a) * (double)ptx_f16_lo(b),
                         (double)ptx_f16_hi(a) * (double)ptx_f16_hi(b));
}

/* The product is exact in double; of the sum, at most 2^-53 is lost. */
static inline uint32_t ptx_fma_f16x2(uint32_t a, uint32_t b, uint32_t c)
{
    return SHIM_PAIRWISE(fma((double)ptx_f16_lo(a), (double)ptx_f16_lo(b), (double)ptx_f16_lo(c)),
                         fma((double)ptx_f16_hi(a), (double)ptx_f16_hi(b), (double)ptx_f16_hi(c)));
}

static inline uint32_t ptx_prmt(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t r = 0;

    for (int i = 0; i < 4; i++) {
        uint32_t digit = selector >> 4 * i;
        uint32_t byte = (uint32_t)(bytes >> (digit & 7u) * 8 & 0xffu);

        if (digit & 8u)
            byte = byte & 0x80u ? 0xffu : 0;
        r |= byte << 8 * i;
    }
    return r;
}

static inline void ptx_mma_f16(float d[4], const uint32_t a[4], const uint32_t b[2], SHIM_HERE)
{
    shim_warp_mma(d, a, b, false, {"ptx_mma_f16", file, line, 0xffffffffu});
}

static inline void ptx_mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2], SHIM_HERE)
{
    shim_warp_mma(d, a, b, true, {"ptx_mma_bf16", file, line, 0xffffffffu});
}

static inline uint4 ptx_load_stream(const void *p, SHIM_HERE)
{
    uint4 r;
    memcpy(&r, shim_aligned(p, sizeof r, "ptx_load_stream", file, line), sizeof r);
    return r;
}

static inline uint2 ptx_load_stream8(const void *p, SHIM_HERE)
{
    uint2 r;
    memcpy(&r, shim_aligned(p, sizeof r, "ptx_load_stream8", file, line), sizeof r);
    return r;
}

static inline uint32_t ptx_load_stream4(const void *p, SHIM_HERE)
{
    uint32_t r;
    memcpy(&r, shim_aligned(p, sizeof r, "ptx_load_stream4", file, line), sizeof r);
    return r;
}

/* Copies at the latest moment that the GPU may: at the wait, or at the end of
 * the block if there is none. */
static inline void ptx_cp_async16(void *shared_dst, const void *global_src, SHIM_HERE)
{
    shim_aligned(shared_dst, 16, "ptx_cp_async16", file, line);
    shim_aligned(global_src, 16, "ptx_cp_async16", file, line);
    shim_async_copy(shared_dst, global_src, file, line);
}

static inline void ptx_cp_async_commit()
{
    shim_async_commit();
}

template <int N> static inline void ptx_cp_async_wait()
{
    shim_async_wait(N);
}

static inline void ptx_ldmatrix_x4(uint32_t r[4], const void *shared_row, SHIM_HERE)
{
    shim_warp_ldmatrix(r, shared_row, false, {"ptx_ldmatrix_x4", file, line, 0xffffffffu});
}

static inline void ptx_ldmatrix_x4_trans(uint32_t r[4], const void *shared_row, SHIM_HERE)
{
    shim_warp_ldmatrix(r, shared_row, true, {"ptx_ldmatrix_x4_trans", file, line, 0xffffffffu});
}

/* Kernels run in order here. */
static inline void ptx_grid_launch_dependents()
{
}

static inline void ptx_grid_wait()
{
    shim_block_grid_wait();
}

#endif
