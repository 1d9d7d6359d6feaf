#include "kernels/window_attention.h"

enum status window_attention_check(const struct window_attention_args *a, struct err *err)
{
    if (a->n_kv_heads <= 0 || a->n_heads <= 0 || a->n_heads % a->n_kv_heads != 0)
        return err_set(err, ST_INVALID, "%d query heads do not divide over %d KV heads", a->n_heads,
                       a->n_kv_heads);
    if (a->head_dim <= 0 || a->head_dim % 2 != 0)
        return err_set(err, ST_INVALID, "head_dim %d is not even", a->head_dim);
    if (a->n_window == 0 || a->n_ring < a->n_window)
        return err_set(err, ST_INVALID, "a ring of %u tokens cannot hold a window of %u", a->n_ring,
                       a->n_window);
    return ST_OK;
}
