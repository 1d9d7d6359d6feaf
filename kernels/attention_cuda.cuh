/*
 * attention_cuda.cuh - what the parts of attention on CUDA share: the parameters of its kernels,
 * where the states of splits lie, and how the kernels are launched.
 *
 * Query row i of a KV head, i < n_rows * group, is row i / group of the call and head
 * kv_head * group + i % group. Scores, and the maximum of a state, are in units of log2(e), so
 * that powers are powers of two.
 */
#ifndef KERNELS_ATTENTION_CUDA_CUH
#define KERNELS_ATTENTION_CUDA_CUH

#include <cuda_runtime.h>
#include <stdint.h>

extern "C" {
#include "kernels/attention.h"
}

#define ATTENTION_LOG2E 1.4426950408889634f

/* A form is there if and only if some row of the call reads it. */
struct attention_cuda_page {
    const char *sealed, *tail;
};

/* What changes from call to call, in the arguments of the call. */
struct attention_cuda_span {
    uint32_t first_page; /* absolute index of pages[0] */
    uint32_t end_page;   /* one behind the last that a row sees */
    uint32_t n_splits;
    uint32_t unused;
};

struct attention_cuda_params {
    float *out;                              /* [n_rows, n_heads, head_dim] */
    const float *q;                          /* the same */
    float *acc;                              /* [n_splits, n_kv, n_rows * group, head_dim] */
    float2 *state;                           /* the same without head_dim: maximum, sum */
    const struct attention_cuda_span *span;  /* here and below: arguments of the call */
    const uint32_t *limit;                   /* [n_rows] */
    const struct attention_cuda_page *pages; /* [span->end_page - span->first_page] */
    float scale;                             /* of scores, times log2(e) */
    int n_rows, n_heads, n_kv, group;
    uint32_t head_dim, window, split_pages;
    uint32_t sealed_format, tail_format;       /* enum kv_format */
    size_t sealed_head_bytes, tail_head_bytes; /* a KV head's section of a page */
    uint32_t direct;                           /* one split holds all: its result goes to `out` */
};

/* One launch of a kernel over KV heads x splits x blocks of query rows. */
struct attention_cuda_plan {
    struct attention_cuda_params params;
    int n_splits;        /* of the grid; those from span->n_splits on end at once */
    size_t shared_limit; /* bytes that a block may have */
};

/* The fast kernels: f16 tails, head_dim as named. ST_DEVICE. */
enum status attention_tile64(struct device *dev, const struct attention_cuda_plan *plan,
                             struct err *err);
enum status attention_tile128(struct device *dev, const struct attention_cuda_plan *plan,
                              struct err *err);
enum status attention_tile256(struct device *dev, const struct attention_cuda_plan *plan,
                              struct err *err);
/* Any head_dim and format. */
enum status attention_plain(struct device *dev, const struct attention_cuda_plan *plan,
                            struct err *err);
/* out from the states of the splits. */
enum status attention_merge(struct device *dev, const struct attention_cuda_plan *plan,
                            struct err *err);

/* Which rows a visit of one form of a page concerns. */
static __device__ __forceinline__ bool attention_reads(const struct attention_cuda_page *page,
                                                       bool sealed, uint32_t p, uint32_t limit)
{
    if (page->sealed == nullptr || page->tail == nullptr)
        return true; /* the other form is missing, or no row reads it */
    return (p + 2 <= (limit - 1) / PAGE_TOKENS) == sealed;
}

/* Where query row i of a KV head lies in q and out. */
static __device__ __forceinline__ size_t attention_at(const struct attention_cuda_params &p,
                                                      uint32_t kv_head, uint32_t i)
{
    uint32_t group = (uint32_t)p.group;
    size_t head = (size_t)(i / group) * (uint32_t)p.n_heads + kv_head * group + i % group;
    return head * p.head_dim;
}

/* Its state in `split`. */
static __device__ __forceinline__ size_t attention_state_at(const struct attention_cuda_params &p,
                                                            uint32_t split, uint32_t kv_head,
                                                            uint32_t i)
{
    return ((size_t)split * (uint32_t)p.n_kv + kv_head) * (uint32_t)(p.n_rows * p.group) + i;
}

#endif
