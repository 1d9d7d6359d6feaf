#include "kernels/embed.h"

#include "kernels/weight.h"

void embed_ref(const struct embed_args *a)
{
    size_t n = (size_t)a->n_cols;

    for (int r = 0; r < a->n_rows; r++)
        for (size_t c = 0; c < n; c++)
            a->out[(size_t)r * n + c] = weight_get(a->table, a->type, (size_t)a->token[r] * n + c);
}
