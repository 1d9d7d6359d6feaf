#include "kernels/rope.h"

#include <stddef.h>

void rope_ref(const struct rope_args *a)
{
    size_t half = (size_t)a->head_dim / 2;

    for (int r = 0; r < a->n_rows; r++)
        for (int h = 0; h < a->n_heads; h++) {
            float *x = a->x + ((size_t)r * (size_t)a->n_heads + (size_t)h) * 2 * half;
            const float *cos = a->cos + a->pos[r] * half;
            const float *sin = a->sin + a->pos[r] * half;

            for (size_t i = 0; i < half; i++) {
                double lo = x[i], hi = x[i + half];
                x[i] = (float)(lo * cos[i] - hi * sin[i]);
                x[i + half] = (float)(hi * cos[i] + lo * sin[i]);
            }
        }
}
