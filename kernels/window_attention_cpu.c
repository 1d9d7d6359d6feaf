#include "kernels/window_attention.h"

#include <math.h>
#include <string.h>

#include "kernels/device_cpu.h"
#include "kernels/window_attention_head.h"

/* Products below which waking a parked thread costs more than it saves: a
 * draft step of one row stays on its own thread. */
enum { WINDOW_POOL_PRODUCTS = 1 << 18 };

struct window_job {
    const struct window_attention_args *a;
    struct device *dev;
    void (*head)(const struct window_attention_args *a, int row, int kv_head, float *scratch);
};

static void rotate(const struct window_attention_args *a, const float *x, uint32_t p, float *out)
{
    size_t half = (size_t)a->head_dim / 2;
    const float *c = a->cos + p * half, *s = a->sin + p * half;

    for (size_t i = 0; i < half; i++) {
        out[i] = x[i] * c[i] - x[i + half] * s[i];
        out[i + half] = x[i + half] * c[i] + x[i] * s[i];
    }
}

/* p becomes e^(p - max) / sum. */
static void softmax(float *p, uint32_t n)
{
    float max = p[0], sum = 0.0f;

    for (uint32_t i = 1; i < n; i++)
        max = fmaxf(max, p[i]);
    for (uint32_t i = 0; i < n; i++)
        sum += p[i] = expf(p[i] - max);
    for (uint32_t i = 0; i < n; i++)
        p[i] /= sum;
}

void window_attention_head_portable(const struct window_attention_args *a, int row, int kv_head,
                                    float *scratch)
{
    size_t D = (size_t)a->head_dim, group = (size_t)(a->n_heads / a->n_kv_heads);
    size_t n_max = ((size_t)a->n_sinks + a->n_window + 7) & ~(size_t)7;
    size_t first = ((size_t)row * (size_t)a->n_heads + (size_t)kv_head * group) * D;
    struct window_attention_span span = window_attention_span(a, a->pos[row]);
    float *q = scratch, *k = q + group * D, *p = k + D;

    for (size_t j = 0; j < group; j++)
        rotate(a, a->q + first + j * D, span.n - 1, q + j * D);
    for (uint32_t i = 0; i < span.n; i++) {
        size_t slot = window_attention_slot(a, &span, i);
        rotate(a, a->k + (slot * (size_t)a->n_kv_heads + (size_t)kv_head) * D, i, k);
        for (size_t j = 0; j < group; j++) {
            float dot = 0.0f;
            for (size_t d = 0; d < D; d++)
                dot += q[j * D + d] * k[d];
            p[j * n_max + i] = dot * a->scale;
        }
    }
    memset(a->out + first, 0, group * D * sizeof(float));
    for (size_t j = 0; j < group; j++) {
        float *out = a->out + first + j * D;
        softmax(p + j * n_max, span.n);
        for (uint32_t i = 0; i < span.n; i++) {
            size_t slot = window_attention_slot(a, &span, i);
            const float *v = a->v + (slot * (size_t)a->n_kv_heads + (size_t)kv_head) * D;
            for (size_t d = 0; d < D; d++)
                out[d] += p[j * n_max + i] * v[d];
        }
    }
}

static void window_task(void *arg, int task, int thread)
{
    const struct window_job *job = arg;

    job->head(job->a, task / job->a->n_kv_heads, task % job->a->n_kv_heads,
              device_cpu_scratch(job->dev, thread));
}

enum status window_attention_cpu(struct device *dev, const struct window_attention_args *a,
                                 struct err *err)
{
    enum status st = window_attention_check(a, err);

    if (st != ST_OK)
        return st;
    struct window_job job = {a, dev, window_attention_head_portable};
#if defined(__x86_64__)
    if (device_cpu_avx2(dev) && a->head_dim % 16 == 0)
        job.head = window_attention_head_avx2;
#endif
    int n_tasks = a->n_rows * a->n_kv_heads;
    size_t products =
        (size_t)a->n_rows * (size_t)a->n_heads * (size_t)a->head_dim * (a->n_sinks + a->n_window);
    device_cpu_reserve(dev, 0, window_attention_floats(a) * sizeof(float));
    if (products >= WINDOW_POOL_PRODUCTS)
        pool_run(device_cpu_pool(dev), n_tasks, window_task, &job);
    else
        for (int i = 0; i < n_tasks; i++)
            window_task(&job, i, 0);
    return ST_OK;
}
