#include "kernels/device_cpu.h"
#include "kernels/kv_layout.h"
#include "kernels/kv_row.h"
#include "kernels/kv_write.h"

/* Below this many elements waking a parked thread costs more than it saves. */
enum { KV_WRITE_POOL_ELEMENTS = 1 << 16 };

struct kv_write_job {
    const struct kv_write_args *a;
    void (*put_k)(void *head, uint32_t head_dim, uint32_t t, const float *row);
    void (*put_v)(void *head, uint32_t head_dim, uint32_t t, const float *row);
};

static void write_row(void *arg, int r, int thread)
{
    const struct kv_write_job *job = arg;
    const struct kv_write_args *a = job->a;
    uint32_t D = a->shape.head_dim, n_heads = a->shape.n_kv_heads, t = a->slot[r] % PAGE_TOKENS;
    void *page = a->page[a->slot[r] / PAGE_TOKENS];

    for (uint32_t h = 0; h < n_heads; h++) {
        void *head = kv_layout_head_mut(page, a->format, a->shape, h);
        size_t row = ((size_t)r * n_heads + h) * D;
        job->put_k(head, D, t, a->k + row);
        job->put_v(head, D, t, a->v + row);
    }
}

enum status kv_write_cpu(struct device *dev, const struct kv_write_args *a, struct err *err)
{
    const struct kv_format_ops *ops = kv_format_ops(a->format);
    if (ops == NULL || ops->put_k == NULL)
        return err_set(err, ST_INVALID, "rows can be written to f32 and f16 pages only");

    struct kv_write_job job = {a, ops->put_k, ops->put_v};
#if defined(__x86_64__)
    if (a->format == KV_F16 && device_cpu_avx2(dev)) {
        job.put_k = kv_row_put_k_avx2;
        job.put_v = kv_row_put_v_avx2;
    }
#endif
    size_t n = (size_t)a->n_rows * a->shape.n_kv_heads * a->shape.head_dim;
    if (n >= KV_WRITE_POOL_ELEMENTS)
        pool_run(device_cpu_pool(dev), a->n_rows, write_row, &job);
    else
        for (int r = 0; r < a->n_rows; r++)
            write_row(&job, r, 0);
    return ST_OK;
}
