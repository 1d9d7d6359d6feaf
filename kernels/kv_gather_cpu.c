/*
 * One task per KV head and GATHER_TOKENS destination slots, so that no two
 * tasks write the same cache line of V and K panels stay whole. Equal formats
 * are moved without conversion.
 */
#include <string.h>

#include "kernels/device_cpu.h"
#include "kernels/kv_gather.h"
#include "kernels/kv_layout.h"
#include "kernels/kv_row.h"

enum { GATHER_TOKENS = PAGE_TOKENS };

struct gather_job {
    const struct kv_gather_args *a;
    int tasks_per_head;
    bool avx2;
};

static void move_f16(const void *src, uint32_t t_src, void *dst, uint32_t t_dst, uint32_t head_dim)
{
    const uint16_t *k_in = (const uint16_t *)src + kv_layout_k(head_dim, t_src, 0);
    uint16_t *k_out = (uint16_t *)dst + kv_layout_k(head_dim, t_dst, 0);
    size_t v = kv_k_bytes(KV_F16, head_dim);

    for (uint32_t d = 0; d < head_dim; d++)
        k_out[d * 8] = k_in[d * 8];
    memcpy((char *)dst + v + kv_layout_v(head_dim, t_dst, 0) * 2,
           (const char *)src + v + kv_layout_v(head_dim, t_src, 0) * 2, head_dim * 2);
}

static void gather_token(const struct gather_job *job, uint32_t h, uint32_t token, uint32_t slot)
{
    const struct kv_gather_args *a = job->a;
    const struct kv_view *view = a->view;
    uint32_t D = view->shape.head_dim, page = token / PAGE_TOKENS;
    bool sealed = kv_view_reads_sealed(view, page, a->limit);
    enum kv_format format = sealed ? view->sealed_format : view->tail_format;
    const void *in = sealed ? view->sealed[page] : view->tail[page];
    const void *src = kv_layout_head(in, format, view->shape, h);
    void *dst = kv_layout_head_mut(a->page[slot / PAGE_TOKENS], a->format, view->shape, h);
    const struct kv_format_ops *from = kv_format_ops(format), *to = kv_format_ops(a->format);
    float k[KV_MAX_HEAD_DIM], v[KV_MAX_HEAD_DIM];

    token %= PAGE_TOKENS;
    slot %= PAGE_TOKENS;
    if (format == KV_F16 && a->format == KV_F16) {
        move_f16(src, token, dst, slot, D);
        return;
    }
#if defined(__x86_64__)
    if (a->format == KV_F16 && format != KV_F32 && job->avx2) {
        kv_row_get_k_avx2(format, src, D, token, k);
        kv_row_get_v_avx2(format, src, D, token, v);
        kv_row_put_k_avx2(dst, D, slot, k);
        kv_row_put_v_avx2(dst, D, slot, v);
        return;
    }
#endif
    from->get_k(src, D, token, k);
    from->get_v(src, D, token, v);
    to->put_k(dst, D, slot, k);
    to->put_v(dst, D, slot, v);
}

static void gather_task(void *arg, int task, int thread)
{
    const struct gather_job *job = arg;
    const struct kv_gather_args *a = job->a;
    uint32_t h = (uint32_t)(task / job->tasks_per_head);
    uint32_t n = (uint32_t)a->n_tokens;
    uint32_t first = (uint32_t)(task % job->tasks_per_head) * GATHER_TOKENS;
    uint32_t end = first + GATHER_TOKENS < n ? first + GATHER_TOKENS : n;

    for (uint32_t i = first; i < end; i++)
        gather_token(job, h, a->token[(size_t)h * n + i], a->first_slot + i);
}

enum status kv_gather_cpu(struct device *dev, const struct kv_gather_args *a, struct err *err)
{
    const struct kv_format_ops *ops = kv_format_ops(a->format);
    if (ops == NULL || ops->put_k == NULL)
        return err_set(err, ST_INVALID, "tokens can be gathered to f32 and f16 pages only");
    if (a->n_tokens <= 0)
        return ST_OK;

    struct gather_job job = {a, (a->n_tokens + GATHER_TOKENS - 1) / GATHER_TOKENS,
                             device_cpu_avx2(dev)};
    pool_run(device_cpu_pool(dev), (int)a->view->shape.n_kv_heads * job.tasks_per_head, gather_task,
             &job);
    return ST_OK;
}
