/*
 * kv_row.h - vector forms of putting one token's row into an f16 head section,
 * and of getting one out of a section of f16, int8 or int4. For files in
 * kernels/ only; reached after device_cpu_avx2().
 */
#ifndef KERNELS_KV_ROW_H
#define KERNELS_KV_ROW_H

#include <stdint.h>

#include "kernels/kv_format.h"

/* As kv_format_ops put_k and put_v of KV_F16, bit for bit. */
void kv_row_put_k_avx2(void *head, uint32_t head_dim, uint32_t t, const float *row);
void kv_row_put_v_avx2(void *head, uint32_t head_dim, uint32_t t, const float *row);

/* As kv_format_ops get_k and get_v of `from`, bit for bit; not for KV_F32. */
void kv_row_get_k_avx2(enum kv_format from, const void *head, uint32_t head_dim, uint32_t t,
                       float *row);
void kv_row_get_v_avx2(enum kv_format from, const void *head, uint32_t head_dim, uint32_t t,
                       float *row);

#endif
