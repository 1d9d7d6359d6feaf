/*
 * cuda_ptx.cuh - the instructions of the GPU that CUDA C++ has no word for.
 *
 * No other file holds inline assembly. tests/cuda_shim has a second version of
 * this file in plain C++ with the same names and results, which stands in for
 * it where kernels run on the CPU. The instructions are those of the PTX ISA
 * 8.x for sm_80 and later.
 *
 * A pair is two 16-bit floats in one register, the first in the low half.
 * Names with a lane: g = lane / 4, t = lane % 4.
 */
#ifndef KERNELS_CUDA_PTX_CUH
#define KERNELS_CUDA_PTX_CUH

#include <cuda_runtime.h>
#include <stdint.h>

/* `type *name` is the dynamic shared memory of the block, 16-byte aligned. */
#define CUDA_SHARED(type, name)                                                                    \
    extern __shared__ __align__(16) unsigned char cuda_shared_bytes[];                             \
    type *name = reinterpret_cast<type *>(cuda_shared_bytes)

/* Signed dot product of four bytes, plus c. */
#define ptx_idp4a(a, b, c) __dp4a((int)(a), (int)(b), (int)(c))

/* f32 to a pair, round to nearest even; too large becomes infinity, NaN the one NaN 0x7fff. */
static __device__ __forceinline__ uint32_t ptx_pack_f16x2(float lo, float hi)
{
    uint32_t r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
    return r;
}

static __device__ __forceinline__ uint32_t ptx_pack_bf16x2(float lo, float hi)
{
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
    return r;
}

static __device__ __forceinline__ float ptx_f16_to_f32(uint16_t h)
{
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
    return f;
}

static __device__ __forceinline__ uint16_t ptx_f32_to_f16(float f)
{
    uint16_t h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
}

static __device__ __forceinline__ float ptx_bf16_to_f32(uint16_t h)
{
    return __uint_as_float((uint32_t)h << 16);
}

static __device__ __forceinline__ uint16_t ptx_f32_to_bf16(float f)
{
    uint16_t h;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
}

static __device__ __forceinline__ float ptx_f16_lo(uint32_t pair)
{
    return ptx_f16_to_f32((uint16_t)pair);
}

static __device__ __forceinline__ float ptx_f16_hi(uint32_t pair)
{
    return ptx_f16_to_f32((uint16_t)(pair >> 16));
}

static __device__ __forceinline__ float ptx_bf16_lo(uint32_t pair)
{
    return __uint_as_float(pair << 16);
}

static __device__ __forceinline__ float ptx_bf16_hi(uint32_t pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

/* Pairs of f16, each half rounded to nearest even. The explicit .rn keeps the
 * assembler from joining a product and a sum. */
static __device__ __forceinline__ uint32_t ptx_add_f16x2(uint32_t a, uint32_t b)
{
    uint32_t r;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

static __device__ __forceinline__ uint32_t ptx_sub_f16x2(uint32_t a, uint32_t b)
{
    uint32_t r;
    asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

static __device__ __forceinline__ uint32_t ptx_mul_f16x2(uint32_t a, uint32_t b)
{
    uint32_t r;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

/* a * b + c, rounded once. */
static __device__ __forceinline__ uint32_t ptx_fma_f16x2(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t r;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
    return r;
}

/* Byte i of the result is byte (selector >> 4i & 7) of b:a, a the low four;
 * bit 3 of a selector digit repeats that byte's sign instead. */
static __device__ __forceinline__ uint32_t ptx_prmt(uint32_t a, uint32_t b, uint32_t selector)
{
    uint32_t r;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(selector));
    return r;
}

/*
 * d[16][8] += a[16][16] * b[16][8] by the 32 lanes of a warp, sums in f32.
 *   a[0] row g,     columns 2t, 2t+1       a[2] row g,     columns 2t+8, 2t+9
 *   a[1] row g + 8, columns 2t, 2t+1       a[3] row g + 8, columns 2t+8, 2t+9
 *   b[0] rows 2t, 2t+1, column g           b[1] rows 2t+8, 2t+9, column g
 *   d[0], d[1] row g, columns 2t, 2t+1     d[2], d[3] row g + 8, the same columns
 */
static __device__ __forceinline__ void ptx_mma_f16(float d[4], const uint32_t a[4],
                                                   const uint32_t b[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

static __device__ __forceinline__ void ptx_mma_bf16(float d[4], const uint32_t a[4],
                                                    const uint32_t b[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Global memory that no kernel writes while this one runs and that is read
 * once: it takes no place in L1. `p` is aligned to the size of the load. */
static __device__ __forceinline__ uint4 ptx_load_stream(const void *p)
{
    uint4 r;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w)
        : "l"(__cvta_generic_to_global(p)));
    return r;
}

static __device__ __forceinline__ uint2 ptx_load_stream8(const void *p)
{
    uint2 r;
    asm("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
        : "=r"(r.x), "=r"(r.y)
        : "l"(__cvta_generic_to_global(p)));
    return r;
}

static __device__ __forceinline__ uint32_t ptx_load_stream4(const void *p)
{
    uint32_t r;
    asm("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(r) : "l"(__cvta_generic_to_global(p)));
    return r;
}

/* Copies 16 bytes, both sides 16-byte aligned, beside computing. They are there
 * for this thread after the wait that covers their commit, for the block after
 * a __syncthreads that follows it. */
static __device__ __forceinline__ void ptx_cp_async16(void *shared_dst, const void *global_src)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :
                 : "r"((uint32_t)__cvta_generic_to_shared(shared_dst)),
                   "l"(__cvta_generic_to_global(global_src))
                 : "memory");
}

static __device__ __forceinline__ void ptx_cp_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until at most N of this thread's commits are under way. */
template <int N> static __device__ __forceinline__ void ptx_cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/* Four 8x8 matrices of 16-bit values from shared memory: lane 8m + i names the
 * 16 aligned bytes of row i of matrix m; r[m] holds row g, columns 2t, 2t+1
 * (_trans: rows 2t, 2t+1 of column g). */
static __device__ __forceinline__ void ptx_ldmatrix_x4(uint32_t r[4], const void *shared_row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(shared_row))
                 : "memory");
}

static __device__ __forceinline__ void ptx_ldmatrix_x4_trans(uint32_t r[4], const void *shared_row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(shared_row))
                 : "memory");
}

/*
 * Programmatic dependent launch (sm_90): a kernel may start while the one before
 * it in its segment still runs. ptx_grid_launch_dependents says that this block
 * has nothing against the next kernel's start; once all blocks have said so, it
 * may take what room there is. ptx_grid_wait returns when the kernel before has
 * ended and what it wrote can be seen. See device_cuda_graph.c for why that is
 * enough. Below sm_90 kernels start in order and neither does anything.
 */
static __device__ __forceinline__ void ptx_grid_launch_dependents()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

static __device__ __forceinline__ void ptx_grid_wait()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

#endif
