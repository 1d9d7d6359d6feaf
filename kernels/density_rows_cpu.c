#include <math.h>
#include <stddef.h>

#include "kernels/density_rows.h"
#include "kernels/device_cpu.h"

/* One task per row: a row of a large vocabulary takes hundreds of microseconds. */
enum { THREAD_LOGITS = 16 * 1024 /* below this, waking a thread costs more than it gives */ };

struct density_job {
    const struct density_rows_args *a;
    struct device *dev;
};

static void row_task(void *arg, int r, int thread)
{
    const struct density_job *job = arg;
    const struct density_rows_args *a = job->a;
    float *p = a->p + (size_t)r * (size_t)a->n_vocab;
    const float *logits = a->logits + (size_t)r * (size_t)a->n_vocab;
    uint32_t *scratch = device_cpu_scratch(job->dev, thread);

    if (density_from_logits(p, logits, (uint32_t)a->n_vocab, &a->law, scratch, NULL) != ST_OK)
        p[0] = NAN;
}

enum status density_rows_cpu(struct device *dev, const struct density_rows_args *a, struct err *err)
{
    enum status st = density_params_check(&a->law, err);

    if (st == ST_OK && a->n_vocab <= 0)
        st = err_set(err, ST_INVALID, "a vocabulary of %d tokens has no law", a->n_vocab);
    if (st != ST_OK)
        return err_in(err, st, "density");
    struct density_job job = {a, dev};
    device_cpu_reserve(dev, 0, (size_t)a->n_vocab * sizeof(uint32_t));
    if (a->n_rows > 1 && (int64_t)a->n_rows * a->n_vocab >= THREAD_LOGITS)
        pool_run(device_cpu_pool(dev), a->n_rows, row_task, &job);
    else
        for (int r = 0; r < a->n_rows; r++)
            row_task(&job, r, 0);
    return ST_OK;
}
