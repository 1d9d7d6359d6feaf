#include <math.h>

#include "kernels/device_cpu.h"
#include "kernels/swiglu.h"
#include "kernels/swiglu_avx2.h"

enum {
    TASK_ELEMENTS = 16 * 1024,
    THREAD_ELEMENTS = 64 * 1024 /* below this, waking a thread costs more than it gives */
};

struct swiglu_job {
    const struct swiglu_args *a;
    size_t n;
    bool avx2;
};

static void run_range(const struct swiglu_job *job, size_t begin, size_t end)
{
    const struct swiglu_args *a = job->a;

    if (job->avx2) {
        swiglu_avx2(a, begin, end);
        return;
    }
    for (size_t i = begin; i < end; i++)
        a->out[i] = a->gate[i] / (1.0f + expf(-a->gate[i])) * a->up[i];
}

static void run_task(void *arg, int task, int thread)
{
    const struct swiglu_job *job = arg;
    size_t begin = (size_t)task * TASK_ELEMENTS;
    size_t end = begin + TASK_ELEMENTS < job->n ? begin + TASK_ELEMENTS : job->n;

    run_range(job, begin, end);
}

/* Elements are on their own, so rows do not matter here. */
enum status swiglu_cpu(struct device *dev, const struct swiglu_args *a, struct err *err)
{
    struct swiglu_job job = {
        .a = a, .n = (size_t)a->n_rows * (size_t)a->n_cols, .avx2 = device_cpu_avx2(dev)};

    if (job.n < THREAD_ELEMENTS)
        run_range(&job, 0, job.n);
    else
        pool_run(device_cpu_pool(dev), (int)((job.n + TASK_ELEMENTS - 1) / TASK_ELEMENTS), run_task,
                 &job);
    return ST_OK;
}
