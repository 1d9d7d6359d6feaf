/*
 * q . mean(K) is the mean of q . k over the chunk's tokens, so the page step of
 * attention gives the scores and keys are never dequantized. One task per KV
 * head; sums run over tokens in order.
 */
#include "kernels/chunk_score.h"

#include <math.h>
#include <string.h>

#include "kernels/attention_page.h"
#include "kernels/device_cpu.h"
#include "kernels/kv_layout.h"

struct score_job {
    const struct chunk_score_args *a;
    struct device *dev;
    const struct attention_page_ops *ops;
    uint32_t group;
};

static struct attention_page page_of(const struct chunk_score_args *a, uint32_t g, uint32_t p)
{
    const struct kv_view *view = a->view;
    bool sealed = kv_view_reads_sealed(view, p, a->limit);
    enum kv_format format = sealed ? view->sealed_format : view->tail_format;
    const void *form = sealed ? view->sealed[p] : view->tail[p];

    return (struct attention_page){.head = kv_layout_head(form, format, view->shape, g),
                                   .next = form,
                                   .format = format,
                                   .head_dim = view->shape.head_dim,
                                   .first_token = p * PAGE_TOKENS,
                                   .scale = a->scale};
}

/* sum[i][c] = sum over the chunk's tokens of scale * q[i] . k, for n query
 * heads from `first_head`, all of KV head g. */
static void sum_scores(const struct score_job *job, uint32_t g, uint32_t first_head, uint32_t n,
                       float *sum, struct attention_scratch *scratch)
{
    const struct chunk_score_args *a = job->a;
    uint32_t n_tokens = a->n_chunks * a->chunk;
    uint32_t first_page = a->first_chunk * a->chunk / PAGE_TOKENS;
    struct attention_row rows[ATTENTION_BLOCK_ROWS], *row[ATTENTION_BLOCK_ROWS];

    memset(sum, 0, (size_t)n * a->n_chunks * sizeof *sum);
    for (uint32_t i = 0; i < n; i++) {
        const float *q = a->q + (size_t)(first_head + i) * a->view->shape.head_dim;
        rows[i] = (struct attention_row){.q = q, .limit = n_tokens};
        row[i] = &rows[i];
    }
    for (uint32_t p = first_page; p * PAGE_TOKENS < n_tokens; p++) {
        struct attention_page page = page_of(a, g, p);
        uint32_t n_seen = attention_page_n(&page, row[0]);
        job->ops->scores(&page, row, (int)n, scratch);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t t = 0; t < n_seen; t++)
                sum[(size_t)i * a->n_chunks + (page.first_token + t) / a->chunk] +=
                    scratch->s[i * PAGE_TOKENS + t];
    }
}

/* score[c] += softmax(sum / chunk)[c] / group from first_chunk on; overwrites
 * sum. */
static void add_softmax(const struct score_job *job, float *score, float *sum)
{
    uint32_t n = job->a->n_chunks, first = job->a->first_chunk;
    float max = -INFINITY, inv_chunk = 1.0f / (float)job->a->chunk;
    double total = 0.0;

    if (first == n)
        return;
    for (uint32_t c = first; c < n; c++)
        max = fmaxf(max, sum[c]);
    for (uint32_t c = first; c < n; c++) {
        sum[c] = expf((sum[c] - max) * inv_chunk);
        total += (double)sum[c];
    }
    float weight = (float)(1.0 / (total * job->group));
    for (uint32_t c = first; c < n; c++)
        score[c] += sum[c] * weight;
}

static void score_task(void *arg, int task, int thread)
{
    const struct score_job *job = arg;
    uint32_t g = (uint32_t)task, n_chunks = job->a->n_chunks;
    struct attention_scratch *scratch = device_cpu_scratch(job->dev, thread);
    float *sum = (float *)(scratch + 1), *score = job->a->score + (size_t)g * n_chunks;

    memset(score, 0, n_chunks * sizeof *score);
    for (uint32_t j = 0; j < job->group; j += ATTENTION_BLOCK_ROWS) {
        uint32_t n = job->group - j;
        n = n < ATTENTION_BLOCK_ROWS ? n : ATTENTION_BLOCK_ROWS;
        sum_scores(job, g, g * job->group + j, n, sum, scratch);
        for (uint32_t i = 0; i < n; i++)
            add_softmax(job, score, sum + (size_t)i * n_chunks);
    }
}

enum status chunk_score_cpu(struct device *dev, const struct chunk_score_args *a, struct err *err)
{
    enum status st = chunk_score_check(a, err);

    if (st != ST_OK)
        return st;
    if (a->n_chunks == 0)
        return ST_OK;

    uint32_t n_kv = a->view->shape.n_kv_heads;
    struct score_job job = {a, dev, attention_page_ops(dev), (uint32_t)a->n_heads / n_kv};
    uint32_t rows = job.group < ATTENTION_BLOCK_ROWS ? job.group : ATTENTION_BLOCK_ROWS;
    device_cpu_reserve(
        dev, 0, sizeof(struct attention_scratch) + (size_t)rows * a->n_chunks * sizeof(float));
    pool_run(device_cpu_pool(dev), (int)n_kv, score_task, &job);
    return ST_OK;
}
