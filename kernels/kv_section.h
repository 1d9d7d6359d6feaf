/*
 * kv_section.h - vector forms of work on one KV head's whole section of a page,
 * by way of an f32 section: what kv_format.h says of KV_F32, so that K stays in
 * panels and nothing is transposed. For files in kernels/ only; reached after
 * device_cpu_avx2().
 */
#ifndef KERNELS_KV_SECTION_H
#define KERNELS_KV_SECTION_H

#include "kernels/kv_format.h"

/* Floats in an f32 section, K and V. */
static inline size_t kv_section_n(uint32_t head_dim)
{
    return (size_t)2 * PAGE_TOKENS * head_dim;
}

/* A section of any format to f32: the values of kv_format_ops get_k and get_v,
 * bit for bit. */
void kv_section_widen_avx2(enum kv_format from, const void *head, uint32_t head_dim, float *out);

/* An f32 section to KV_INT8 or KV_INT4: the bytes that kv_format_ops seal gives. */
void kv_section_seal_avx2(enum kv_format to, const float *section, uint32_t head_dim, void *head);

/* Adds the sum of (x - sealed)^2 to sums[0], that of x^2 to sums[1]; n is a
 * multiple of 8. One order of addition for each n. */
void kv_section_add_error_avx2(const float *x, const float *sealed, size_t n, double sums[2]);

#endif
