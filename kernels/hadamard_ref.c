#include <math.h>
#include <stddef.h>

#include "kernels/hadamard.h"
#include "kernels/kv_format.h"

void hadamard_ref(const struct hadamard_args *a)
{
    uint32_t D = (uint32_t)a->head_dim, B = hadamard_block(D);
    double out[KV_MAX_HEAD_DIM];

    for (int v = 0; v < a->n_vectors; v++) {
        float *x = a->x + (size_t)v * D;
        for (uint32_t i = 0; i < D; i++) {
            out[i] = 0.0;
            for (uint32_t j = i - i % B; j < i - i % B + B; j++) {
                double s = a->sign != NULL ? a->sign[j] : 1.0;
                out[i] += __builtin_parity(i % B & j % B) ? -s * x[j] : s * x[j];
            }
        }
        for (uint32_t i = 0; i < D; i++)
            x[i] = (float)(out[i] / sqrt(B));
    }
}
