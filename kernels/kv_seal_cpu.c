/*
 * One task per page and head: it is read into the thread's scratch, sealed, and
 * read back for the error sums; quantized and equal formats in vectors where the
 * machine has them, all others row by row. Sums go to a slot per task and are
 * added in task order, so that neither threads nor their timing can change them.
 */
#include "kernels/kv_seal.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/device_cpu.h"
#include "kernels/kv_layout.h"
#include "kernels/kv_section.h"

struct seal_sums {
    double k[2], v[2];
};

struct seal_job {
    const struct kv_seal_args *a;
    struct device *dev;
    struct seal_sums *sums; /* [n_pages * n_kv_heads] */
};

/* Four running sums: independent chains that a compiler may put in lanes. */
static void add_row_error(const float *x, const float *sealed, uint32_t n, double sums[2])
{
    double e[4] = {0}, s[4] = {0};

    for (uint32_t i = 0; i < n; i += 4)
        for (uint32_t j = 0; j < 4; j++) {
            double d = (double)x[i + j] - (double)sealed[i + j];
            e[j] += d * d;
            s[j] += (double)x[i + j] * (double)x[i + j];
        }
    sums[0] += (e[0] + e[1]) + (e[2] + e[3]);
    sums[1] += (s[0] + s[1]) + (s[2] + s[3]);
}

static void seal_rows(const struct kv_seal_args *a, const void *in, void *out, float *k,
                      struct seal_sums *sums)
{
    uint32_t D = a->shape.head_dim;
    const struct kv_format_ops *from = kv_format_ops(a->from_format);
    const struct kv_format_ops *to = kv_format_ops(a->to_format);
    float *v = k + (size_t)PAGE_TOKENS * D, sealed[KV_MAX_HEAD_DIM];

    for (uint32_t t = 0; t < PAGE_TOKENS; t++) {
        from->get_k(in, D, t, k + (size_t)t * D);
        from->get_v(in, D, t, v + (size_t)t * D);
    }
    to->seal(out, D, k, v);
    for (uint32_t t = 0; t < PAGE_TOKENS && a->k_error != NULL; t++) {
        to->get_k(out, D, t, sealed);
        add_row_error(k + (size_t)t * D, sealed, D, sums->k);
    }
    for (uint32_t t = 0; t < PAGE_TOKENS && a->v_error != NULL; t++) {
        to->get_v(out, D, t, sealed);
        add_row_error(v + (size_t)t * D, sealed, D, sums->v);
    }
}

#if defined(__x86_64__)
static void seal_section(const struct kv_seal_args *a, const void *in, void *out, float *x,
                         struct seal_sums *sums)
{
    uint32_t D = a->shape.head_dim;
    size_t n = (size_t)PAGE_TOKENS * D; /* of K, and of V */
    float *sealed = x + kv_section_n(D);

    kv_section_widen_avx2(a->from_format, in, D, x);
    if (a->from_format == a->to_format)
        memcpy(out, in, kv_head_bytes(a->to_format, D));
    else
        kv_section_seal_avx2(a->to_format, x, D, out);
    if (a->k_error == NULL && a->v_error == NULL)
        return;
    kv_section_widen_avx2(a->to_format, out, D, sealed);
    kv_section_add_error_avx2(x, sealed, n, sums->k);
    kv_section_add_error_avx2(x + n, sealed + n, n, sums->v);
}
#endif

static void seal_task(void *arg, int task, int thread)
{
    const struct seal_job *job = arg;
    const struct kv_seal_args *a = job->a;
    uint32_t h = (uint32_t)task % a->shape.n_kv_heads, p = (uint32_t)task / a->shape.n_kv_heads;
    const void *in = kv_layout_head(a->in[p], a->from_format, a->shape, h);
    void *out = kv_layout_head_mut(a->out[p], a->to_format, a->shape, h);
    float *scratch = device_cpu_scratch(job->dev, thread);

#if defined(__x86_64__)
    bool whole = kv_format_is_quantized(a->to_format) || a->from_format == a->to_format;
    if (whole && device_cpu_avx2(job->dev)) {
        seal_section(a, in, out, scratch, &job->sums[task]);
        return;
    }
#endif
    seal_rows(a, in, out, scratch, &job->sums[task]);
}

enum status kv_seal_cpu(struct device *dev, const struct kv_seal_args *a, struct err *err)
{
    if (kv_format_is_quantized(a->from_format))
        return err_set(err, ST_INVALID, "a sealed %s page cannot be sealed again",
                       kv_format_ops(a->from_format)->name);
    if (a->n_pages <= 0)
        return ST_OK;

    int n_tasks = a->n_pages * (int)a->shape.n_kv_heads;
    struct seal_job job = {a, dev, mem_array((size_t)n_tasks, sizeof(struct seal_sums))};
    device_cpu_reserve(dev, 0, 2 * kv_section_n(a->shape.head_dim) * sizeof(float));
    pool_run(device_cpu_pool(dev), n_tasks, seal_task, &job);
    for (int i = 0; i < n_tasks; i++)
        for (int j = 0; j < 2; j++) {
            if (a->k_error != NULL)
                a->k_error[j] += job.sums[i].k[j];
            if (a->v_error != NULL)
                a->v_error[j] += job.sums[i].v[j];
        }
    free(job.sums);
    return ST_OK;
}
