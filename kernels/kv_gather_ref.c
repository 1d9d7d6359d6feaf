#include "kernels/kv_gather.h"

#include "kernels/kv_layout.h"

void kv_gather_ref(const struct kv_gather_args *a)
{
    const struct kv_view *view = a->view;
    struct kv_shape shape = view->shape;
    const struct kv_format_ops *to = kv_format_ops(a->format);
    float row[KV_MAX_HEAD_DIM];

    for (uint32_t h = 0; h < shape.n_kv_heads; h++) {
        for (int i = 0; i < a->n_tokens; i++) {
            uint32_t token = a->token[(size_t)h * (size_t)a->n_tokens + (size_t)i];
            uint32_t page = token / PAGE_TOKENS, slot = a->first_slot + (uint32_t)i;
            bool sealed = kv_view_reads_sealed(view, page, a->limit);
            enum kv_format format = sealed ? view->sealed_format : view->tail_format;
            const struct kv_format_ops *from = kv_format_ops(format);
            const void *in = sealed ? view->sealed[page] : view->tail[page];
            const void *src = kv_layout_head(in, format, shape, h);
            void *dst = kv_layout_head_mut(a->page[slot / PAGE_TOKENS], a->format, shape, h);

            from->get_k(src, shape.head_dim, token % PAGE_TOKENS, row);
            to->put_k(dst, shape.head_dim, slot % PAGE_TOKENS, row);
            from->get_v(src, shape.head_dim, token % PAGE_TOKENS, row);
            to->put_v(dst, shape.head_dim, slot % PAGE_TOKENS, row);
        }
    }
}
