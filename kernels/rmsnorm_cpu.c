#include <math.h>
#include <stddef.h>

#include "kernels/device_cpu.h"
#include "kernels/rmsnorm.h"
#include "kernels/rmsnorm_avx2.h"
#include "kernels/weight.h"

enum {
    TASK_ELEMENTS = 16 * 1024,   /* about 5 us of work */
    THREAD_ELEMENTS = 128 * 1024 /* below this, waking a thread costs more than it gives */
};

struct rmsnorm_job {
    const struct rmsnorm_args *a;
    int task_rows;
    bool avx2;
};

/* 8 interleaved partial sums and a fixed fold: the order of a row's sum is a
 * function of n_cols alone. */
static void portable_row(const struct rmsnorm_args *a, int r)
{
    const float *in = a->in + (size_t)r * a->n_cols;
    float *out = a->out + (size_t)r * a->n_cols;
    float sum[8] = {0};
    int c = 0;

    for (; c + 8 <= a->n_cols; c += 8)
        for (int j = 0; j < 8; j++)
            sum[j] += in[c + j] * in[c + j];
    for (int j = 0; c + j < a->n_cols; j++)
        sum[j] += in[c + j] * in[c + j];
    float total = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    float scale = 1.0f / sqrtf(total / (float)a->n_cols + a->eps);
    for (c = 0; c < a->n_cols; c++)
        out[c] = in[c] * scale * weight_get(a->weight, a->type, (size_t)c);
}

static void run_task(void *arg, int task, int thread)
{
    const struct rmsnorm_job *job = arg;
    int row = task * job->task_rows;
    int end = row + job->task_rows < job->a->n_rows ? row + job->task_rows : job->a->n_rows;

    if (job->avx2) {
        rmsnorm_avx2(job->a, row, end);
        return;
    }
    for (; row < end; row++)
        portable_row(job->a, row);
}

enum status rmsnorm_cpu(struct device *dev, const struct rmsnorm_args *a, struct err *err)
{
    struct rmsnorm_job job = {.a = a, .avx2 = device_cpu_avx2(dev), .task_rows = a->n_rows};

    if (a->n_rows == 0)
        return ST_OK;
    if ((size_t)a->n_rows * (size_t)a->n_cols < THREAD_ELEMENTS) {
        run_task(&job, 0, 0);
        return ST_OK;
    }
    job.task_rows = a->n_cols < TASK_ELEMENTS ? TASK_ELEMENTS / a->n_cols : 1;
    pool_run(device_cpu_pool(dev), (a->n_rows + job.task_rows - 1) / job.task_rows, run_task, &job);
    return ST_OK;
}
