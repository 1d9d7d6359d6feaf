/*
 * cuda_runtime.h - the words of CUDA C++ that kernels use, as plain C++.
 *
 * Stands in for the toolkit's file of the same name where kernels run on the
 * CPU (shim_block.h). Float atomics are missing on purpose: their order is not
 * fixed on a GPU.
 */
#ifndef TESTS_CUDA_SHIM_CUDA_RUNTIME_H
#define TESTS_CUDA_SHIM_CUDA_RUNTIME_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <cuda_runtime_api.h>

#include "tests/cuda_shim/shim_block.h"
#include "tests/cuda_shim/shim_warp.h"

#define __global__
#define __device__
#define __host__
#define __constant__    static const
#define __shared__      static
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n)    __attribute__((aligned(n)))
#define __launch_bounds__(...)

#define warpSize SHIM_WARP_LANES

/* Where the source stands, as default arguments of everything that waits. */
#define SHIM_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

static inline void __syncthreads(SHIM_HERE)
{
    shim_block_barrier(file, line);
}

static inline void __syncwarp(uint32_t mask = 0xffffffffu, SHIM_HERE)
{
    shim_warp_sync({"__syncwarp", file, line, mask});
}

static inline uint32_t __ballot_sync(uint32_t mask, int predicate, SHIM_HERE)
{
    return shim_warp_ballot(predicate != 0, {"__ballot_sync", file, line, mask});
}

static inline int __any_sync(uint32_t mask, int predicate, SHIM_HERE)
{
    return shim_warp_ballot(predicate != 0, {"__any_sync", file, line, mask}) != 0;
}

static inline int __all_sync(uint32_t mask, int predicate, SHIM_HERE)
{
    return shim_warp_ballot(predicate == 0, {"__all_sync", file, line, mask}) == 0;
}

template <class T>
static inline T shim_shuffle(enum shim_shuffle kind, T value, int from, int width,
                             struct shim_wait wait)
{
    uint64_t bits = 0;

    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    memcpy(&bits, &value, sizeof value);
    bits = shim_warp_shuffle(kind, bits, from, width, wait);
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <class T>
static inline T __shfl_sync(uint32_t mask, T value, int lane, int width = warpSize, SHIM_HERE)
{
    return shim_shuffle(SHIM_SHUFFLE_INDEX, value, lane, width, {"__shfl_sync", file, line, mask});
}

template <class T>
static inline T __shfl_up_sync(uint32_t mask, T value, unsigned d, int width = warpSize, SHIM_HERE)
{
    return shim_shuffle(SHIM_SHUFFLE_UP, value, (int)d, width,
                        {"__shfl_up_sync", file, line, mask});
}

template <class T>
static inline T __shfl_down_sync(uint32_t mask, T value, unsigned d, int width = warpSize,
                                 SHIM_HERE)
{
    return shim_shuffle(SHIM_SHUFFLE_DOWN, value, (int)d, width,
                        {"__shfl_down_sync", file, line, mask});
}

template <class T>
static inline T __shfl_xor_sync(uint32_t mask, T value, int bits, int width = warpSize, SHIM_HERE)
{
    return shim_shuffle(SHIM_SHUFFLE_XOR, value, bits, width,
                        {"__shfl_xor_sync", file, line, mask});
}

static inline void __threadfence()
{
}
static inline void __threadfence_block()
{
}

/* One thread runs at a time, so these are plain. */
#define SHIM_ATOMIC(name, type, expression)                                                        \
    static inline type name(type *p, type v)                                                       \
    {                                                                                              \
        type old = *p;                                                                             \
        *p = (expression);                                                                         \
        return old;                                                                                \
    }
#define SHIM_ATOMICS(type)                                                                         \
    SHIM_ATOMIC(atomicMax, type, old > v ? old : v)                                                \
    SHIM_ATOMIC(atomicMin, type, old < v ? old : v)                                                \
    SHIM_ATOMIC(atomicExch, type, v)                                                               \
    SHIM_ATOMIC(atomicOr, type, old | v)                                                           \
    SHIM_ATOMIC(atomicAnd, type, old &v)                                                           \
    static inline type atomicCAS(type *p, type wanted, type v)                                     \
    {                                                                                              \
        type old = *p;                                                                             \
        *p = old == wanted ? v : old;                                                              \
        return old;                                                                                \
    }
SHIM_ATOMICS(int)
SHIM_ATOMICS(unsigned)
SHIM_ATOMICS(unsigned long long)
SHIM_ATOMIC(atomicAdd, int, (int)((unsigned)old + (unsigned)v))
SHIM_ATOMIC(atomicAdd, unsigned, old + v)
SHIM_ATOMIC(atomicAdd, unsigned long long, old + v)
SHIM_ATOMIC(atomicInc, unsigned, old >= v ? 0 : old + 1)
SHIM_ATOMIC(atomicDec, unsigned, old == 0 || old > v ? v : old - 1)
#undef SHIM_ATOMICS
#undef SHIM_ATOMIC

template <class T> static inline T __ldg(const T *p)
{
    return *p;
}

#define SHIM_BITS(name, to, from)                                                                  \
    static inline to name(from v)                                                                  \
    {                                                                                              \
        to r;                                                                                      \
        static_assert(sizeof(to) == sizeof(from), "the same bits");                                \
        memcpy(&r, &v, sizeof r);                                                                  \
        return r;                                                                                  \
    }
SHIM_BITS(__float_as_uint, unsigned, float)
SHIM_BITS(__float_as_int, int, float)
SHIM_BITS(__uint_as_float, float, unsigned)
SHIM_BITS(__int_as_float, float, int)
SHIM_BITS(__double_as_longlong, long long, double)
SHIM_BITS(__longlong_as_double, double, long long)
#undef SHIM_BITS

/* The shim is compiled without contraction, so plain operators round once. */
#define SHIM_OPERATOR(name, type, op)                                                              \
    static inline type name(type a, type b)                                                        \
    {                                                                                              \
        return a op b;                                                                             \
    }
SHIM_OPERATOR(__fadd_rn, float, +)
SHIM_OPERATOR(__fsub_rn, float, -)
SHIM_OPERATOR(__fmul_rn, float, *)
SHIM_OPERATOR(__fdiv_rn, float, /)
SHIM_OPERATOR(__dadd_rn, double, +)
SHIM_OPERATOR(__dsub_rn, double, -)
SHIM_OPERATOR(__dmul_rn, double, *)
SHIM_OPERATOR(__ddiv_rn, double, /)
#undef SHIM_OPERATOR

static inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
static inline double __fma_rn(double a, double b, double c)
{
    return fma(a, b, c);
}
static inline float __fsqrt_rn(float a)
{
    return sqrtf(a);
}
static inline float __frcp_rn(float a)
{
    return 1.0f / a;
}
static inline float __fdividef(float a, float b)
{
    return a / b;
}
/* The C library has these two names for itself. */
#define __expf(a) expf(a)
#define __logf(a) logf(a)
static inline float rsqrtf(float a)
{
    return 1.0f / sqrtf(a);
}

/* To an integer as the GPU does it: nearest even or towards zero, saturated,
 * NaN is 0. */
static inline long long shim_to_integer(double v, double lowest, double highest)
{
    return isnan(v)       ? 0
           : v <= lowest  ? (long long)lowest
           : v >= highest ? (long long)highest
                          : (long long)v;
}
static inline int __float2int_rn(float v)
{
    return (int)shim_to_integer(rint((double)v), -2147483648.0, 2147483647.0);
}
static inline int __float2int_rz(float v)
{
    return (int)shim_to_integer(trunc((double)v), -2147483648.0, 2147483647.0);
}
static inline unsigned __float2uint_rn(float v)
{
    return (unsigned)shim_to_integer(rint((double)v), 0.0, 4294967295.0);
}
static inline unsigned __float2uint_rz(float v)
{
    return (unsigned)shim_to_integer(trunc((double)v), 0.0, 4294967295.0);
}
static inline unsigned long long shim_to_ull(double v)
{
    return isnan(v) || v <= 0 ? 0ull : v >= 0x1p64 ? ~0ull : (unsigned long long)v;
}
static inline unsigned long long __float2ull_rn(float v)
{
    return shim_to_ull(rint((double)v));
}
static inline unsigned long long __float2ull_rz(float v)
{
    return shim_to_ull((double)v);
}
static inline unsigned long long __double2ull_rn(double v)
{
    return shim_to_ull(rint(v));
}
static inline unsigned long long __double2ull_rz(double v)
{
    return shim_to_ull(v);
}
static inline float __int2float_rn(int v)
{
    return (float)v;
}
static inline float __uint2float_rn(unsigned v)
{
    return (float)v;
}
static inline float __ull2float_rn(unsigned long long v)
{
    return (float)v;
}
static inline double __ull2double_rn(unsigned long long v)
{
    return (double)v;
}
static inline float __double2float_rn(double v)
{
    return (float)v;
}

static inline int __popc(unsigned v)
{
    return __builtin_popcount(v);
}
static inline int __clz(int v)
{
    return v ? __builtin_clz((unsigned)v) : 32;
}
static inline int __clzll(long long v)
{
    return v ? __builtin_clzll((unsigned long long)v) : 64;
}
static inline int __ffs(int v)
{
    return __builtin_ffs(v);
}
static inline unsigned __brev(unsigned v)
{
    unsigned r = 0;

    for (int i = 0; i < 32; i++)
        r |= (v >> i & 1u) << (31 - i);
    return r;
}
static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((unsigned long long)a * b >> 32);
}
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector)
{
    unsigned long long bytes = (unsigned long long)b << 32 | a;
    unsigned r = 0;

    for (int i = 0; i < 4; i++)
        r |= (unsigned)(bytes >> (selector >> 4 * i & 7u) * 8 & 0xffu) << 8 * i;
    return r;
}

#define SHIM_MIN_MAX(type)                                                                         \
    static inline type min(type a, type b)                                                         \
    {                                                                                              \
        return a < b ? a : b;                                                                      \
    }                                                                                              \
    static inline type max(type a, type b)                                                         \
    {                                                                                              \
        return a > b ? a : b;                                                                      \
    }
SHIM_MIN_MAX(int)
SHIM_MIN_MAX(unsigned)
SHIM_MIN_MAX(long)
SHIM_MIN_MAX(unsigned long)
SHIM_MIN_MAX(long long)
SHIM_MIN_MAX(unsigned long long)
static inline float min(float a, float b)
{
    return fminf(a, b);
}
static inline float max(float a, float b)
{
    return fmaxf(a, b);
}
#undef SHIM_MIN_MAX

#endif
