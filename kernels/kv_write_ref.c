#include "kernels/kv_write.h"

#include "kernels/kv_layout.h"

void kv_write_ref(const struct kv_write_args *a)
{
    const struct kv_format_ops *ops = kv_format_ops(a->format);
    uint32_t D = a->shape.head_dim, n_heads = a->shape.n_kv_heads;

    for (int r = 0; r < a->n_rows; r++) {
        void *page = a->page[a->slot[r] / PAGE_TOKENS];
        for (uint32_t h = 0; h < n_heads; h++) {
            void *head = kv_layout_head_mut(page, a->format, a->shape, h);
            size_t row = ((size_t)r * n_heads + h) * D;
            ops->put_k(head, D, a->slot[r] % PAGE_TOKENS, a->k + row);
            ops->put_v(head, D, a->slot[r] % PAGE_TOKENS, a->v + row);
        }
    }
}
