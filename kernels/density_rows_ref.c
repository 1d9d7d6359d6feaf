#include "kernels/density_rows.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/mem.h"

void density_rows_ref(const struct density_rows_args *a)
{
    size_t n = (size_t)a->n_vocab;
    uint32_t *scratch = mem_array(n, sizeof *scratch);

    for (int r = 0; r < a->n_rows; r++) {
        float *p = a->p + (size_t)r * n;
        if (density_from_logits(p, a->logits + (size_t)r * n, (uint32_t)n, &a->law, scratch,
                                NULL) != ST_OK)
            p[0] = NAN;
    }
    free(scratch);
}
