/* One thread per element of K and of V; where a row goes is worked out on the host. */
#include <stdlib.h>

#include "kernels/kv_read_cuda.cuh"
#include "kernels/op_cuda.cuh"

extern "C" {
#include "common/mem.h"
}

enum { THREADS = 256 };

struct kv_write_place {
    char *page;
    uint32_t token; /* in the page */
    uint32_t unused;
};

struct kv_write_params {
    const struct kv_write_place *place; /* [n_rows] */
    const float *k, *v;
    struct kv_read_format to;
    uint32_t n_heads;
};

static __global__ void __launch_bounds__(THREADS) kv_write_kernel(struct kv_write_params p)
{
    op_cuda_start();
    const uint32_t i = blockIdx.y * THREADS + threadIdx.x, D = p.to.head_dim, n = p.n_heads * D;
    const struct kv_write_place *place = &p.place[blockIdx.x];
    const uint32_t h = i / D, d = i % D, t = place->token;
    const size_t from = (size_t)blockIdx.x * n + i;

    if (i >= n)
        return;
    char *head = place->page + (size_t)h * p.to.head_bytes;
    kv_write_element(p.to.format, head, (t / 8 * D + d) * 8 + t % 8, p.k[from]);
    kv_write_element(p.to.format, head + p.to.v_bytes, t * D + d, p.v[from]);
}

static enum status launch_write(struct device *dev, const struct kv_write_args *a,
                                const struct kv_write_place *place, struct err *err)
{
    const unsigned n = a->shape.n_kv_heads * a->shape.head_dim;
    struct kv_write_params p;
    const void *at;
    enum status st;

    st = op_cuda_begin(dev, "kv_write", place, (size_t)a->n_rows * sizeof *place, &at, err);
    if (st != ST_OK)
        return st;
    memset(&p, 0, sizeof p);
    p.place = (const struct kv_write_place *)at;
    p.k = a->k;
    p.v = a->v;
    p.to = kv_read_format(a->format, a->shape.head_dim);
    p.n_heads = a->shape.n_kv_heads;
    return cuda_launch_early(dev, kv_write_kernel,
                             dim3((unsigned)a->n_rows, (n + THREADS - 1) / THREADS), dim3(THREADS),
                             0, p, err);
}

extern "C" enum status kv_write_cuda(struct device *dev, const struct kv_write_args *a,
                                     struct err *err)
{
    if (a->format != KV_F32 && a->format != KV_F16)
        return err_set(err, ST_INVALID, "rows can be written to f32 and f16 pages only");
    if (a->n_rows <= 0)
        return ST_OK;

    struct kv_write_place *place =
        (struct kv_write_place *)mem_array((size_t)a->n_rows, sizeof *place);
    for (int r = 0; r < a->n_rows; r++) {
        place[r].page = (char *)a->page[a->slot[r] / PAGE_TOKENS];
        place[r].token = a->slot[r] % PAGE_TOKENS;
        place[r].unused = 0;
    }
    enum status st = launch_write(dev, a, place, err);
    free(place);
    return st;
}
