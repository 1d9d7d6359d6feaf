#include <stddef.h>

#include "common/mem.h"
#include "kernels/device_cpu.h"
#include "kernels/matmul.h"
#include "kernels/matmul_avx2.h"
#include "kernels/weight.h"

enum {
    /* About 20 us on one core, from memory or from a cache; a sleeping thread
     * wakes no faster. */
    THREAD_PRODUCTS = 512 * 1024,
    /* Of a task of few rows: enough of a stream that its start does not count,
     * little enough that threads end together. */
    TASK_PRODUCTS = 128 * 1024,
    /* Without converting weights aside up to 8 rows, or while all rows of x stay
     * in the second cache: measured, K 128 to 11008, 1 to 33 rows. */
    DIRECT_ROWS = 8,
    DIRECT_ELEMENTS = 40 * 1024,
    PORTABLE_OUTS = 16
};

struct matmul_job {
    const struct matmul_args *a;
    struct device *dev;
    int task_outs, task_rows;
    int row_tasks; /* tasks per group of outputs; they share its weights */
    void (*part)(const struct matmul_job *job, struct matmul_part part, int thread);
};

static void part_direct(const struct matmul_job *job, struct matmul_part part, int thread)
{
    matmul_avx2_direct(job->a, part);
}

static void part_block(const struct matmul_job *job, struct matmul_part part, int thread)
{
    matmul_avx2_block(job->a, part, device_cpu_scratch(job->dev, thread));
}

/* The order of matmul_avx2.h, with a rounding after each product. */
static float portable_dot(const float *x, const float *w, int n)
{
    float sum[8] = {0};
    int i = 0;

    for (; i + 8 <= n; i += 8)
        for (int l = 0; l < 8; l++)
            sum[l] += x[i + l] * w[i + l];
    for (int l = 0; i + l < n; l++)
        sum[l] += x[i + l] * w[i + l];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* An output's weights are converted once for all rows. */
static void part_portable(const struct matmul_job *job, struct matmul_part part, int thread)
{
    const struct matmul_args *a = job->a;
    size_t n_in = (size_t)a->n_in;
    float *w = device_cpu_scratch(job->dev, thread);

    for (int o = part.out; o < part.out_end; o++) {
        for (size_t i = 0; i < n_in; i++)
            w[i] = weight_get(a->w, a->type, (size_t)o * n_in + i);
        for (int r = part.row; r < part.row_end; r++) {
            float *out = a->out + (size_t)r * (size_t)a->n_out + o;
            float sum = portable_dot(a->x + (size_t)r * n_in, w, a->n_in);

            if (a->bias != NULL)
                sum += a->bias[o];
            *out = a->accumulate ? sum + *out : sum;
        }
    }
}

static void run_task(void *arg, int task, int thread)
{
    const struct matmul_job *job = arg;
    const struct matmul_args *a = job->a;
    struct matmul_part part;

    part.out = task / job->row_tasks * job->task_outs;
    part.out_end = part.out + job->task_outs < a->n_out ? part.out + job->task_outs : a->n_out;
    part.row = task % job->row_tasks * job->task_rows;
    part.row_end = part.row + job->task_rows < a->n_rows ? part.row + job->task_rows : a->n_rows;
    job->part(job, part, thread);
}

static int divide_up(int n, int by)
{
    return (n + by - 1) / by;
}

static bool goes_direct(const struct matmul_args *a)
{
    return a->n_rows <= DIRECT_ROWS || (a->n_rows <= MATMUL_AVX2_ROWS &&
                                        (size_t)a->n_rows * (size_t)a->n_in <= DIRECT_ELEMENTS);
}

/* How the output is cut into tasks. No choice here changes a bit of it. */
static void plan(struct matmul_job *job)
{
    const struct matmul_args *a = job->a;

    job->task_rows = a->n_rows;
    if (!device_cpu_avx2(job->dev)) {
        device_cpu_reserve(job->dev, 0, (size_t)a->n_in * sizeof(float));
        job->part = part_portable;
        job->task_outs = PORTABLE_OUTS;
    } else if (goes_direct(a)) {
        int outs = TASK_PRODUCTS / a->n_rows / a->n_in / 8 * 8;

        job->part = part_direct;
        job->task_outs = outs < 8 ? 8 : outs;
    } else {
        device_cpu_reserve(job->dev, 0, matmul_avx2_scratch());
        job->part = part_block;
        job->task_outs = MATMUL_AVX2_OUTS;
        job->task_rows = a->n_rows < MATMUL_AVX2_ROWS ? a->n_rows : MATMUL_AVX2_ROWS;
    }
    job->row_tasks = divide_up(a->n_rows, job->task_rows);
}

static void run_single(struct device *dev, const struct matmul_args *a)
{
    struct matmul_job job = {.a = a, .dev = dev};
    size_t n_products = (size_t)a->n_rows * (size_t)a->n_in * (size_t)a->n_out;

    CHECK(a->n_rows > 0 && a->n_in > 0 && a->n_out > 0);
    plan(&job);
    int n_tasks = divide_up(a->n_out, job.task_outs) * job.row_tasks;
    if (n_products >= THREAD_PRODUCTS) {
        pool_run(device_cpu_pool(dev), n_tasks, run_task, &job);
        return;
    }
    for (int task = 0; task < n_tasks; task++)
        run_task(&job, task, 0);
}

enum status matmul_cpu(struct device *dev, const struct matmul_args *a, struct err *err)
{
    CHECK(a->n_also >= 0 && a->n_also < MATMUL_WEIGHTS);
    for (int i = 0; a->n_rows != 0 && i <= a->n_also; i++) {
        struct matmul_args one = matmul_single(a, i);
        run_single(dev, &one);
    }
    return ST_OK;
}
