#include "kernels/ring_write.h"

#include <stddef.h>

void ring_write_ref(const struct ring_write_args *a)
{
    size_t n = (size_t)a->row_floats;

    for (int r = 0; r < a->n_rows; r++)
        for (size_t i = 0; i < n; i++) {
            a->k_ring[a->slot[r] * n + i] = a->k[(size_t)r * n + i];
            a->v_ring[a->slot[r] * n + i] = a->v[(size_t)r * n + i];
        }
}
