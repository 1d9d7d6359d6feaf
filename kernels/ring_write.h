/*
 * ring_write.h - puts rows of K and V into the slots of a ring:
 *   k_ring[slot[r]] = k[r], v_ring[slot[r]] = v[r]
 * The draft's window cache is such a ring (window_attention.h).
 */
#ifndef KERNELS_RING_WRITE_H
#define KERNELS_RING_WRITE_H

#include <stdint.h>

#include "common/status.h"

struct device;

struct ring_write_args {
    float *k_ring, *v_ring; /* [slots, row_floats] */
    const float *k, *v;     /* [n_rows, row_floats] */
    const uint32_t *slot;   /* [n_rows], host memory, no two alike */
    int n_rows;             /* 0 is allowed and does nothing */
    int row_floats;         /* n_kv_heads * head_dim */
};

void ring_write_ref(const struct ring_write_args *a);
enum status ring_write_cpu(struct device *dev, const struct ring_write_args *a, struct err *err);

#endif
