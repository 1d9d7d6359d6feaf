/*
 * Butterflies: log2(B) passes of sums and differences, then one product by
 * 1 / sqrt(B). Plain loops; the compiler makes vectors of the wide passes.
 */
#include <math.h>
#include <stddef.h>

#include "kernels/device_cpu.h"
#include "kernels/hadamard.h"

enum {
    TASK_ELEMENTS = 16 * 1024,
    THREAD_ELEMENTS = 128 * 1024 /* below this, waking a thread costs more than it gives */
};

struct hadamard_job {
    const struct hadamard_args *a;
    int task_vectors;
};

static void turn_block(float *x, uint32_t B, float norm)
{
    for (uint32_t half = 1; half < B; half *= 2)
        for (uint32_t at = 0; at < B; at += 2 * half) {
            float *restrict lo = x + at, *restrict hi = x + at + half;
            for (uint32_t i = 0; i < half; i++) {
                float sum = lo[i] + hi[i], difference = lo[i] - hi[i];
                lo[i] = sum;
                hi[i] = difference;
            }
        }
    for (uint32_t i = 0; i < B; i++)
        x[i] *= norm;
}

static void run_task(void *arg, int task, int thread)
{
    const struct hadamard_job *job = arg;
    const struct hadamard_args *a = job->a;
    uint32_t D = (uint32_t)a->head_dim, B = hadamard_block(D);
    float norm = (float)(1.0 / sqrt(B));
    int v = task * job->task_vectors;
    int end = v + job->task_vectors < a->n_vectors ? v + job->task_vectors : a->n_vectors;

    for (; v < end; v++) {
        float *x = a->x + (size_t)v * D;
        for (uint32_t i = 0; i < D && a->sign != NULL; i++)
            x[i] *= a->sign[i];
        for (uint32_t at = 0; at < D; at += B)
            turn_block(x + at, B, norm);
    }
}

enum status hadamard_cpu(struct device *dev, const struct hadamard_args *a, struct err *err)
{
    struct hadamard_job job = {.a = a, .task_vectors = a->n_vectors};

    if (a->n_vectors == 0)
        return ST_OK;
    if ((size_t)a->n_vectors * (size_t)a->head_dim < THREAD_ELEMENTS) {
        run_task(&job, 0, 0);
        return ST_OK;
    }
    job.task_vectors = TASK_ELEMENTS / a->head_dim;
    pool_run(device_cpu_pool(dev), (a->n_vectors + job.task_vectors - 1) / job.task_vectors,
             run_task, &job);
    return ST_OK;
}
