#include "kernels/rmsnorm.h"

#include <math.h>

#include "kernels/weight.h"

void rmsnorm_ref(const struct rmsnorm_args *a)
{
    for (int r = 0; r < a->n_rows; r++) {
        const float *in = a->in + (size_t)r * a->n_cols;
        float *out = a->out + (size_t)r * a->n_cols;
        double sum = 0;

        for (int c = 0; c < a->n_cols; c++)
            sum += (double)in[c] * in[c];
        double scale = 1.0 / sqrt(sum / a->n_cols + a->eps);
        for (int c = 0; c < a->n_cols; c++)
            out[c] = (float)(in[c] * scale * weight_get(a->weight, a->type, (size_t)c));
    }
}
