/*
 * attention_page.h - one page of one KV head against a block of query rows: the
 * inner step of attention and of chunk scores. For files in kernels/ only.
 *
 * Scores of a page, then the softmax fold:
 *   s[t] = scale * q . k[t];  m' = max(m, max_t s[t]);  p[t] = e^(s[t] - m')
 *   sum = sum * e^(m - m') + sum_t p[t];  acc = acc * e^(m - m') + sum_t p[t] v[t]
 * over the tokens t that the row sees; tokens of the page before them are read, and
 * enter with p = 0. Every element is summed in an order that
 * depends on the page alone, so a row's bits are the same in a block of one row
 * as in a full one. Within one device the implementation never changes.
 */
#ifndef KERNELS_ATTENTION_PAGE_H
#define KERNELS_ATTENTION_PAGE_H

#include "kernels/kv_format.h"

enum { ATTENTION_BLOCK_ROWS = 64 };

/* A query row (one row's one head) and its softmax state. */
struct attention_row {
    const float *q;        /* [head_dim] */
    float *acc;            /* [head_dim] */
    float max, sum;        /* -infinity and 0 before the first page */
    uint32_t first, limit; /* tokens first .. limit-1 are seen */
};

struct attention_page {
    const void *head; /* the KV head's section */
    const void *next; /* the one that the caller reads after it, or any; only touched ahead */
    enum kv_format format;
    uint32_t head_dim;
    uint32_t first_token; /* absolute; every row of a call sees a token of the page */
    float scale;
};

/* Per thread; 64-byte aligned. */
struct attention_scratch {
    float s[ATTENTION_BLOCK_ROWS * PAGE_TOKENS];         /* scores, then p */
    int16_t x16[ATTENTION_BLOCK_ROWS * KV_MAX_HEAD_DIM]; /* q * K-scale, then p * V-scale */
    float factor[ATTENTION_BLOCK_ROWS];                  /* x = x16 * factor */
    float section[PAGE_TOKENS * KV_MAX_HEAD_DIM];        /* portable path: f16 K or V as f32 */
};

struct attention_page_ops {
    /* scratch->s[i * PAGE_TOKENS + t] for the page's tokens below row i's limit;
     * what stands behind them is undefined. n <= ATTENTION_BLOCK_ROWS. */
    void (*scores)(const struct attention_page *page, struct attention_row *const *row, int n,
                   struct attention_scratch *scratch);
    /* scores, then folds them and V into the rows' states. */
    void (*fold)(const struct attention_page *page, struct attention_row *const *row, int n,
                 struct attention_scratch *scratch);
};

extern const struct attention_page_ops attention_page_portable;
extern const struct attention_page_ops attention_page_avx2; /* x86-64 only */

/* Tokens of the page below the row's limit: 1 .. PAGE_TOKENS. */
static inline uint32_t attention_page_n(const struct attention_page *page,
                                        const struct attention_row *row)
{
    uint32_t n = row->limit - page->first_token;
    return n < PAGE_TOKENS ? n : PAGE_TOKENS;
}

/* How many of them lie before the row's first: 0 .. PAGE_TOKENS - 1. */
static inline uint32_t attention_page_hidden(const struct attention_page *page,
                                             const struct attention_row *row)
{
    return row->first > page->first_token ? row->first - page->first_token : 0;
}

/* Rows to 16 bits: below this, a largest element counts as 0, because
 * 32767 / max would overflow; what is lost is far below an f16's least bit. */
#define ATTENTION_LEAST_MAX 1e-30f

struct device;
const struct attention_page_ops *attention_page_ops(const struct device *dev);

#endif
