#include "kernels/chunk_score.h"

enum status chunk_score_check(const struct chunk_score_args *a, struct err *err)
{
    const struct kv_view *view = a->view;
    uint32_t n_kv = view->shape.n_kv_heads;
    uint64_t n_tokens = (uint64_t)a->n_chunks * a->chunk;

    if (a->chunk == 0 || n_tokens > a->limit || a->limit > (uint64_t)view->n_pages * PAGE_TOKENS)
        return err_set(err, ST_INVALID, "%u chunks of %u tokens are more than the %u visible ones",
                       a->n_chunks, a->chunk, a->limit);
    if (a->first_chunk > a->n_chunks)
        return err_set(err, ST_INVALID, "chunks from %u on of %u", a->first_chunk, a->n_chunks);
    if (n_kv == 0 || a->n_heads <= 0 || (uint32_t)a->n_heads % n_kv != 0)
        return err_set(err, ST_INVALID, "%d query heads do not divide over %u KV heads", a->n_heads,
                       n_kv);
    for (uint64_t p = (uint64_t)a->first_chunk * a->chunk / PAGE_TOKENS; p * PAGE_TOKENS < n_tokens;
         p++)
        if (view->sealed[p] == NULL && view->tail[p] == NULL)
            return err_set(err, ST_INVALID, "page %u of the view is missing", (uint32_t)p);
    return ST_OK;
}
