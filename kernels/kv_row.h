/*
 * kv_row.h - vector forms of putting one token's row into an f16 head section.
 * For files in kernels/ only; reached after device_cpu_avx2().
 */
#ifndef KERNELS_KV_ROW_H
#define KERNELS_KV_ROW_H

#include <stdint.h>

/* As kv_format_ops put_k and put_v of KV_F16, bit for bit. */
void kv_row_put_k_avx2(void *head, uint32_t head_dim, uint32_t t, const float *row);
void kv_row_put_v_avx2(void *head, uint32_t head_dim, uint32_t t, const float *row);

#endif
