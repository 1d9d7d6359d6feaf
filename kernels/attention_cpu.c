/*
 * Two ways through the same arithmetic. Few query rows: one task per KV head
 * and split, states kept, merged in a second pass; every page is read once for
 * all rows. Many (prefill): one task per KV head and block of query rows, which
 * walks the splits itself, so that no states need keeping; a page's section is
 * then in the cache of the core that reads it for 64 query rows at a time.
 */
#include "kernels/attention.h"

#include <math.h>
#include <string.h>

#include "kernels/attention_page.h"
#include "kernels/device_cpu.h"
#include "kernels/kv_layout.h"

enum {
    /* Query rows of a KV head up to which splits are the tasks: 33 rows of a
     * group of 8 (a verification of gamma 32). */
    ATTENTION_FEW = 33 * 8,
    ATTENTION_STATE_BYTES = 64 << 20,
    /* Products below which waking a parked thread costs more than it saves. */
    ATTENTION_POOL_PRODUCTS = 1 << 18
};

struct attention_job {
    const struct attention_args *a;
    struct device *dev;
    const struct attention_page_ops *ops;
    uint32_t head_dim, n_kv, group;
    uint32_t first_split, n_splits; /* n_splits from first_split on are seen by some row */
    uint32_t stride;                /* few: tasks from one of a thread to its next; many: 0 */
    bool alone;                     /* so little work that the caller does it all */
    int block_rows, n_blocks;       /* many: rows of the call per block */
    struct attention_row *rows;     /* few: [n_splits, n_kv, n_rows * group] */
    float *acc;                     /* few: the same, [head_dim] each */
};

static void rows_start(const struct attention_job *job, uint32_t g, int first_row, int n_rows,
                       struct attention_row *rows, float *acc)
{
    const struct attention_args *a = job->a;

    memset(acc, 0, (size_t)n_rows * job->group * job->head_dim * sizeof *acc);
    for (int r = first_row; r < first_row + n_rows; r++)
        for (uint32_t j = 0; j < job->group; j++) {
            size_t head = (size_t)r * (size_t)a->n_heads + (size_t)g * job->group + j;
            rows->q = a->q + head * job->head_dim;
            rows->acc = acc;
            rows->max = -INFINITY;
            rows->sum = 0.0f;
            rows->limit = a->limit[r];
            rows->first = attention_first(a->limit[r], a->window);
            rows++;
            acc += job->head_dim;
        }
}

/* What this thread most likely reads after page p of KV head g, in the same
 * form: the next page, or behind a split the first page of its next task. Only
 * touched ahead, so a wrong guess costs time and nothing else. */
static const void *section_after(const struct attention_job *job, uint32_t g, uint32_t p,
                                 bool sealed)
{
    const struct kv_view *view = job->a->view;
    const void *const *form = sealed ? view->sealed : view->tail;
    enum kv_format format = sealed ? view->sealed_format : view->tail_format;
    uint32_t next = p + 1;

    if (job->stride > 0 && next % ATTENTION_SPLIT_PAGES == 0) {
        g += job->stride;
        next += g / job->n_kv * ATTENTION_SPLIT_PAGES - ATTENTION_SPLIT_PAGES;
        g %= job->n_kv;
    }
    if (next >= view->n_pages || form[next] == NULL)
        next = p;
    return kv_layout_head(form[next], format, view->shape, g);
}

/* Folds one form of a page into the rows that read that form of it. */
static void fold_form(const struct attention_job *job, uint32_t g, uint32_t p, bool sealed,
                      struct attention_row *rows, int n, struct attention_scratch *scratch)
{
    const struct kv_view *view = job->a->view;
    enum kv_format format = sealed ? view->sealed_format : view->tail_format;
    const void *form = sealed ? view->sealed[p] : view->tail[p];
    struct attention_page page = {.head = kv_layout_head(form, format, view->shape, g),
                                  .next = section_after(job, g, p, sealed),
                                  .format = format,
                                  .head_dim = job->head_dim,
                                  .first_token = p * PAGE_TOKENS,
                                  .scale = job->a->scale};
    struct attention_row *chosen[ATTENTION_BLOCK_ROWS];
    int n_chosen = 0;

    for (int i = 0; i < n; i++) {
        if (rows[i].limit > page.first_token && rows[i].first < page.first_token + PAGE_TOKENS &&
            kv_view_reads_sealed(view, p, rows[i].limit) == sealed)
            chosen[n_chosen++] = &rows[i];
        if (n_chosen > 0 && (n_chosen == ATTENTION_BLOCK_ROWS || i == n - 1)) {
            job->ops->fold(&page, chosen, n_chosen, scratch);
            n_chosen = 0;
        }
    }
}

static void fold_split(const struct attention_job *job, uint32_t g, uint32_t split,
                       struct attention_row *rows, int n, struct attention_scratch *scratch)
{
    const struct kv_view *view = job->a->view;
    uint32_t first = split * ATTENTION_SPLIT_PAGES, longest = 0, earliest = UINT32_MAX;

    for (int i = 0; i < n; i++) {
        longest = rows[i].limit > longest ? rows[i].limit : longest;
        earliest = rows[i].first < earliest ? rows[i].first : earliest;
    }
    for (uint32_t p = first; p < first + ATTENTION_SPLIT_PAGES; p++) {
        if (p < earliest / PAGE_TOKENS)
            continue;
        if ((uint64_t)p * PAGE_TOKENS >= longest)
            return;
        if (view->sealed[p] != NULL)
            fold_form(job, g, p, true, rows, n, scratch);
        if (view->tail[p] != NULL)
            fold_form(job, g, p, false, rows, n, scratch);
    }
}

static void merge(struct attention_row *into, const struct attention_row *split, uint32_t head_dim)
{
    if (split->max == -INFINITY)
        return; /* the row sees nothing of this split */
    float max = fmaxf(into->max, split->max);
    /* One of the two is e^0; the other's exponential is most of a merge. */
    float shrink_old = into->max == max ? 1.0f : expf(into->max - max);
    float shrink_new = split->max == max ? 1.0f : expf(split->max - max);

    into->sum = into->sum * shrink_old + split->sum * shrink_new;
    into->max = max;
    for (uint32_t d = 0; d < head_dim; d++)
        into->acc[d] = into->acc[d] * shrink_old + split->acc[d] * shrink_new;
}

static void finish(const struct attention_job *job, const struct attention_row *row)
{
    float *out = job->a->out + (row->q - job->a->q);
    float inv = 1.0f / row->sum;

    for (uint32_t d = 0; d < job->head_dim; d++)
        out[d] = row->acc[d] * inv;
}

static void split_task(void *arg, int task, int thread)
{
    const struct attention_job *job = arg;
    uint32_t g = (uint32_t)task % job->n_kv;
    uint32_t split = job->first_split + (uint32_t)task / job->n_kv;
    size_t n = (size_t)job->a->n_rows * job->group;
    struct attention_row *rows = job->rows + (size_t)task * n;
    float *acc = job->acc + (size_t)task * n * job->head_dim;

    rows_start(job, g, 0, job->a->n_rows, rows, acc);
    fold_split(job, g, split, rows, (int)n, device_cpu_scratch(job->dev, thread));
}

/* task: one row of the call. */
static void merge_task(void *arg, int task, int thread)
{
    const struct attention_job *job = arg;
    size_t n = (size_t)job->a->n_rows * job->group;

    for (uint32_t h = 0; h < (uint32_t)job->a->n_heads; h++) {
        uint32_t g = h / job->group;
        size_t at = (size_t)task * job->group + h % job->group;
        float acc[KV_MAX_HEAD_DIM] = {0};
        struct attention_row row = job->rows[g * n + at];
        row.acc = acc;
        row.max = -INFINITY;
        row.sum = 0.0f;
        for (uint32_t split = 0; split < job->n_splits; split++)
            merge(&row, &job->rows[((size_t)split * job->n_kv + g) * n + at], job->head_dim);
        finish(job, &row);
    }
}

static size_t block_bytes(const struct attention_job *job)
{
    size_t n = (size_t)job->block_rows * job->group;
    return 2 * n * (sizeof(struct attention_row) + job->head_dim * sizeof(float));
}

/* task: a block of rows under one KV head; later blocks see more and go first,
 * so that no long task is left for the end. */
static void block_task(void *arg, int task, int thread)
{
    const struct attention_job *job = arg;
    uint32_t g = (uint32_t)task % job->n_kv;
    int first = (job->n_blocks - 1 - task / (int)job->n_kv) * job->block_rows;
    int n_rows =
        job->a->n_rows - first < job->block_rows ? job->a->n_rows - first : job->block_rows;
    int n = n_rows * (int)job->group, n_max = job->block_rows * (int)job->group;
    struct attention_scratch *scratch = device_cpu_scratch(job->dev, thread);
    float *acc = (float *)(scratch + 1), *total_acc = acc + (size_t)n_max * job->head_dim;
    struct attention_row *rows =
        (struct attention_row *)(total_acc + (size_t)n_max * job->head_dim);
    struct attention_row *total = rows + n_max;

    rows_start(job, g, first, n_rows, total, total_acc);
    for (uint32_t i = 0; i < job->n_splits; i++) {
        rows_start(job, g, first, n_rows, rows, acc);
        fold_split(job, g, job->first_split + i, rows, n, scratch);
        for (int j = 0; j < n; j++)
            merge(&total[j], &rows[j], job->head_dim);
    }
    for (int i = 0; i < n; i++)
        finish(job, &total[i]);
}

static void run_tasks(const struct attention_job *job, int n_tasks,
                      void (*fn)(void *arg, int task, int thread))
{
    if (!job->alone)
        pool_run(device_cpu_pool(job->dev), n_tasks, fn, (void *)job);
    else
        for (int i = 0; i < n_tasks; i++)
            fn((void *)job, i, 0);
}

static void run_splits(struct attention_job *job)
{
    size_t n = (size_t)job->n_splits * job->n_kv * (size_t)job->a->n_rows * job->group;
    size_t acc_bytes = n * job->head_dim * sizeof(float);

    device_cpu_reserve(job->dev, acc_bytes + n * sizeof(struct attention_row),
                       sizeof(struct attention_scratch));
    job->acc = device_cpu_scratch(job->dev, -1);
    job->rows = (struct attention_row *)((char *)job->acc + acc_bytes);
    job->stride = job->alone ? 1 : (uint32_t)pool_n_threads(device_cpu_pool(job->dev));
    run_tasks(job, (int)(job->n_splits * job->n_kv), split_task);
    run_tasks(job, job->a->n_rows, merge_task);
}

static void run_blocks(struct attention_job *job)
{
    job->block_rows = ATTENTION_BLOCK_ROWS / (int)job->group;
    job->block_rows = job->block_rows < 1 ? 1 : job->block_rows;
    job->n_blocks = (job->a->n_rows + job->block_rows - 1) / job->block_rows;
    device_cpu_reserve(job->dev, 0, sizeof(struct attention_scratch) + block_bytes(job));
    run_tasks(job, job->n_blocks * (int)job->n_kv, block_task);
}

enum status attention_cpu(struct device *dev, const struct attention_args *a, struct err *err)
{
    uint32_t longest = 0, earliest = 0, n_kv = a->view->shape.n_kv_heads;
    const uint32_t split_tokens = ATTENTION_SPLIT_PAGES * PAGE_TOKENS;

    if (a->n_rows <= 0)
        return ST_OK;
    enum status st = attention_check(a, &earliest, &longest, err);
    if (st != ST_OK)
        return err_in(err, st, "attention");

    struct attention_job job = {.a = a,
                                .dev = dev,
                                .ops = attention_page_ops(dev),
                                .head_dim = a->view->shape.head_dim,
                                .n_kv = n_kv,
                                .group = (uint32_t)a->n_heads / n_kv,
                                .first_split = earliest / split_tokens,
                                .n_splits =
                                    (longest - 1) / split_tokens - earliest / split_tokens + 1};
    size_t n_q = (size_t)a->n_rows * job.group;
    size_t state = (size_t)job.n_splits * n_kv * n_q * job.head_dim * sizeof(float);
    job.alone = n_q * n_kv * job.head_dim * (longest - earliest) < ATTENTION_POOL_PRODUCTS;
    if (job.n_splits > 1 && n_q <= ATTENTION_FEW && state <= ATTENTION_STATE_BYTES)
        run_splits(&job);
    else
        run_blocks(&job);
    return ST_OK;
}
