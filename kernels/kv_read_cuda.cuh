/*
 * kv_read_cuda.cuh - elements of one KV head's section of a page, of any format,
 * as f32: the values of kv_format_ops get_k and get_v, bit for bit.
 *
 * A unit is what the layouts keep together: 8 tokens of one dimension of K, or 8
 * dimensions of one token of V. Unit u of K in f32 and f16 is dimension
 * u % head_dim of panel u / head_dim; unit u of V is dimensions 8 * (u % (head_dim
 * / 8)) and on of token u / (head_dim / 8); both begin at element 8 * u.
 */
#ifndef KERNELS_KV_READ_CUDA_CUH
#define KERNELS_KV_READ_CUDA_CUH

#include "kernels/cuda_ptx.cuh"

extern "C" {
#include "kernels/kv_format.h"
}

enum { KV_UNIT = 8 };

/* kv_format.h's sizes and places, for the device. */
struct kv_read_format {
    enum kv_format format;
    uint32_t head_dim;
    uint32_t head_bytes; /* of a KV head's section */
    uint32_t v_bytes;    /* from its start to V */
    uint32_t scales;     /* from the start of K (of V) to the scales, quantized formats */
};

static inline struct kv_read_format kv_read_format(enum kv_format format, uint32_t head_dim)
{
    struct kv_read_format f;

    f.format = format;
    f.head_dim = head_dim;
    f.head_bytes = (uint32_t)kv_head_bytes(format, head_dim);
    f.v_bytes = (uint32_t)kv_k_bytes(format, head_dim);
    f.scales = (uint32_t)PAGE_TOKENS * head_dim / (format == KV_INT4 ? 2 : 1);
    return f;
}

/* Unit u of a K or V in f32 or f16. */
static __device__ __forceinline__ void kv_read_unit(enum kv_format format, const char *base,
                                                    uint32_t u, float x[KV_UNIT])
{
    if (format == KV_F16) {
        const uint4 w = ((const uint4 *)base)[u];
        const uint32_t pair[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            x[2 * i] = ptx_f16_lo(pair[i]);
            x[2 * i + 1] = ptx_f16_hi(pair[i]);
        }
        return;
    }
    const float4 a = ((const float4 *)base)[2 * u], b = ((const float4 *)base)[2 * u + 1];
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
    x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

/* Writes unit u, rounding to nearest even. */
static __device__ __forceinline__ void kv_write_unit(enum kv_format format, char *base, uint32_t u,
                                                     const float x[KV_UNIT])
{
    if (format == KV_F16) {
        uint4 w;
        w.x = ptx_pack_f16x2(x[0], x[1]);
        w.y = ptx_pack_f16x2(x[2], x[3]);
        w.z = ptx_pack_f16x2(x[4], x[5]);
        w.w = ptx_pack_f16x2(x[6], x[7]);
        ((uint4 *)base)[u] = w;
        return;
    }
    ((float4 *)base)[2 * u] = make_float4(x[0], x[1], x[2], x[3]);
    ((float4 *)base)[2 * u + 1] = make_float4(x[4], x[5], x[6], x[7]);
}

static __device__ __forceinline__ void kv_write_element(enum kv_format format, char *base,
                                                        uint32_t i, float x)
{
    if (format == KV_F16)
        ((uint16_t *)base)[i] = ptx_f32_to_f16(x);
    else
        ((float *)base)[i] = x;
}

/* The 8 quantized values at the even (odd = 0) or odd bytes of 16; `shift` is
 * the nibble's place, int4 only. */
static __device__ __forceinline__ void kv_read_bytes(enum kv_format format, const char *at,
                                                     unsigned odd, unsigned shift, float q[KV_UNIT])
{
    const uint4 w = *(const uint4 *)at;
    const uint32_t word[4] = {w.x, w.y, w.z, w.w};

#pragma unroll
    for (int i = 0; i < KV_UNIT; i++) {
        uint32_t byte = word[i / 2] >> (16 * (i % 2) + 8 * odd) & 0xffu;
        q[i] = format == KV_INT8 ? (float)(int8_t)byte : (float)(byte >> shift & 15u);
    }
}

/* scale * q, and + min for int4: two roundings, as the cpu has them. */
static __device__ __forceinline__ float kv_read_scale(enum kv_format format, float q, float scale,
                                                      float min)
{
    const float x = __fmul_rn(scale, q);

    return format == KV_INT4 ? __fadd_rn(x, min) : x;
}

/* K of token t of the page, dimension d; `head` is the KV head's section. */
static __device__ __forceinline__ float kv_read_k(struct kv_read_format f, const char *head,
                                                  uint32_t t, uint32_t d)
{
    const uint32_t D = f.head_dim;

    if (f.format == KV_F16)
        return ptx_f16_to_f32(((const uint16_t *)head)[(t / 8 * D + d) * 8 + t % 8]);
    if (f.format == KV_F32)
        return ((const float *)head)[(t / 8 * D + d) * 8 + t % 8];
    const float *scale = (const float *)(head + f.scales);
    if (f.format == KV_INT8) {
        int8_t q = ((const int8_t *)head)[((t / 8 * (D / 2) + d / 2) * 8 + t % 8) * 2 + d % 2];
        return kv_read_scale(KV_INT8, (float)q, scale[d], 0.0f);
    }
    uint32_t byte = ((const uint8_t *)head)[((t / 16 * (D / 2) + d / 2) * 8 + t % 8) * 2 + d % 2];
    return kv_read_scale(KV_INT4, (float)(byte >> t / 8 % 2 * 4 & 15u), scale[d], scale[D + d]);
}

/* Dimensions 8j and on of V of token t. */
static __device__ __forceinline__ void kv_read_v(struct kv_read_format f, const char *head,
                                                 uint32_t t, uint32_t j, float x[KV_UNIT])
{
    const uint32_t units = f.head_dim / KV_UNIT;
    const char *v = head + f.v_bytes;

    if (f.format == KV_F16 || f.format == KV_F32) {
        kv_read_unit(f.format, v, t * units + j, x);
        return;
    }
    const float *scale = (const float *)(v + f.scales);
    const bool is_int8 = f.format == KV_INT8;
    const uint32_t line = is_int8 ? t / 2 : t / 4;
    kv_read_bytes(f.format, v + (size_t)(line * units + j) * 16, t % 2, t / 2 % 2 * 4, x);
#pragma unroll
    for (int i = 0; i < KV_UNIT; i++)
        x[i] = kv_read_scale(f.format, x[i], scale[t], is_int8 ? 0.0f : scale[PAGE_TOKENS + t]);
}

#endif
