#include "kernels/swiglu.h"

#include <math.h>
#include <stddef.h>

void swiglu_ref(const struct swiglu_args *a)
{
    size_t n = (size_t)a->n_rows * (size_t)a->n_cols;

    for (size_t i = 0; i < n; i++) {
        double gate = a->gate[i];
        a->out[i] = (float)(gate / (1.0 + exp(-gate)) * a->up[i]);
    }
}
