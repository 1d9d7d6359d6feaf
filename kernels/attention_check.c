#include "kernels/attention.h"

enum status attention_check(const struct attention_args *a, uint32_t *earliest, uint32_t *longest,
                            struct err *err)
{
    const struct kv_view *view = a->view;
    uint32_t D = view->shape.head_dim, n_kv = view->shape.n_kv_heads;

    if (D == 0 || D % 8 != 0 || D > KV_MAX_HEAD_DIM)
        return err_set(err, ST_INVALID, "head_dim %u is not a multiple of 8 up to %d", D,
                       KV_MAX_HEAD_DIM);
    if (n_kv == 0 || a->n_heads <= 0 || (uint32_t)a->n_heads % n_kv != 0)
        return err_set(err, ST_INVALID, "%d query heads do not divide over %u KV heads", a->n_heads,
                       n_kv);
    *longest = 0;
    *earliest = UINT32_MAX;
    for (int r = 0; r < a->n_rows; r++) {
        if (a->limit[r] == 0 || a->limit[r] > (uint64_t)view->n_pages * PAGE_TOKENS)
            return err_set(err, ST_INVALID, "row %d sees %u tokens, the view has 1 to %llu", r,
                           a->limit[r], (unsigned long long)view->n_pages * PAGE_TOKENS);
        uint32_t first = attention_first(a->limit[r], a->window);
        *longest = a->limit[r] > *longest ? a->limit[r] : *longest;
        *earliest = first < *earliest ? first : *earliest;
    }
    for (uint32_t p = *earliest / PAGE_TOKENS; (uint64_t)p * PAGE_TOKENS < *longest; p++)
        if (view->sealed[p] == NULL && view->tail[p] == NULL)
            return err_set(err, ST_INVALID, "page %u of the view is missing", p);
    return ST_OK;
}
