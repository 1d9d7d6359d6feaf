#include "kernels/matmul.h"

#include "kernels/weight.h"

static void single_ref(const struct matmul_args *a)
{
    size_t n_in = (size_t)a->n_in, n_out = (size_t)a->n_out;

    for (size_t r = 0; r < (size_t)a->n_rows; r++)
        for (size_t o = 0; o < n_out; o++) {
            double sum = 0;

            for (size_t i = 0; i < n_in; i++)
                sum += (double)a->x[r * n_in + i] * weight_get(a->w, a->type, o * n_in + i);
            if (a->bias != NULL)
                sum += a->bias[o];
            if (a->accumulate)
                sum += a->out[r * n_out + o];
            a->out[r * n_out + o] = (float)sum;
        }
}

void matmul_ref(const struct matmul_args *a)
{
    for (int i = 0; i <= a->n_also; i++) {
        struct matmul_args one = matmul_single(a, i);
        single_ref(&one);
    }
}
