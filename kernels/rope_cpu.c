#include <stddef.h>

#include "kernels/device_cpu.h"
#include "kernels/rope.h"

enum {
    TASK_ELEMENTS = 16 * 1024,
    THREAD_ELEMENTS = 128 * 1024 /* below this, waking a thread costs more than it gives */
};

struct rope_job {
    const struct rope_args *a;
    int task_rows;
};

/* Plain loops: every element is on its own, and the compiler makes vectors of
 * them without changing a bit. */
static void rotate_head(float *restrict x, const float *restrict cos, const float *restrict sin,
                        size_t half)
{
    float *restrict y = x + half;

    for (size_t i = 0; i < half; i++) {
        float lo = x[i], hi = y[i];
        x[i] = lo * cos[i] - hi * sin[i];
        y[i] = hi * cos[i] + lo * sin[i];
    }
}

static void run_task(void *arg, int task, int thread)
{
    const struct rope_job *job = arg;
    const struct rope_args *a = job->a;
    size_t half = (size_t)a->head_dim / 2;
    int row = task * job->task_rows;
    int end = row + job->task_rows < a->n_rows ? row + job->task_rows : a->n_rows;

    for (; row < end; row++)
        for (int h = 0; h < a->n_heads; h++)
            rotate_head(a->x + ((size_t)row * (size_t)a->n_heads + (size_t)h) * 2 * half,
                        a->cos + a->pos[row] * half, a->sin + a->pos[row] * half, half);
}

enum status rope_cpu(struct device *dev, const struct rope_args *a, struct err *err)
{
    struct rope_job job = {.a = a, .task_rows = a->n_rows};
    int row_elements = a->n_heads * a->head_dim;

    if (a->n_rows == 0)
        return ST_OK;
    if ((size_t)a->n_rows * (size_t)row_elements < THREAD_ELEMENTS) {
        run_task(&job, 0, 0);
        return ST_OK;
    }
    job.task_rows = row_elements < TASK_ELEMENTS ? TASK_ELEMENTS / row_elements : 1;
    pool_run(device_cpu_pool(dev), (a->n_rows + job.task_rows - 1) / job.task_rows, run_task, &job);
    return ST_OK;
}
