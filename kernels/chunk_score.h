/*
 * chunk_score.h - how much each chunk of the prompt matters to the last query.
 *
 * For KV head g with its group of query heads, chunk c of `chunk` tokens:
 *   s[h][c]     = scale * q[h] . mean(K[g][c * chunk .. (c + 1) * chunk))
 *   score[g][c] = mean over h in the group of softmax_c(s[h])
 * Chunks before first_chunk score 0 and take no part in the softmax: they lie
 * outside the query's window.
 * One selection per KV head (not per query head), after TriForce's mean-key
 * retrieval (arXiv 2404.11912), with the group joined by averaging.
 */
#ifndef KERNELS_CHUNK_SCORE_H
#define KERNELS_CHUNK_SCORE_H

#include "kernels/kv_view.h"

struct device;

struct chunk_score_args {
    float *score;   /* host memory, [n_kv_heads, n_chunks] */
    const float *q; /* [n_heads, head_dim], rotated, host memory */
    int n_heads;
    float scale;
    const struct kv_view *view;
    uint32_t limit;           /* which form of a page is read */
    uint32_t n_chunks, chunk; /* n_chunks * chunk <= limit; any chunk >= 1 */
    uint32_t first_chunk;     /* <= n_chunks; pages wholly before it may be missing */
};

/* What every device refuses: ST_INVALID. */
enum status chunk_score_check(const struct chunk_score_args *a, struct err *err);
void chunk_score_ref(const struct chunk_score_args *a);
enum status chunk_score_cpu(struct device *dev, const struct chunk_score_args *a, struct err *err);

#endif
