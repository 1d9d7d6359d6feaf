#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/device_cuda_state.h"

#define ARG_ALIGN     ((size_t)16)
#define RING_ALIGN    ((size_t)256)
#define SLAB_BYTES    ((size_t)256 << 10) /* at first: a segment over 128K tokens has less */
#define RING_SLABS    ((size_t)16)
#define SCRATCH_BYTES ((size_t)32 << 20) /* the least: it grows by doubling */
#define PARAMS_MAX    ((size_t)4096)     /* CUDA's limit on a kernel's parameters */
/* Without an attribute a block may have this much shared memory (CUDA C++
 * programming guide, "Shared Memory"). */
#define SHARED_FREE ((size_t)32 << 10)

static size_t round_up(size_t n, size_t align)
{
    return (n + align - 1) / align * align;
}

/* A slab for arguments and a ring of several, nothing of it in use. */
static enum status open_slab(struct cuda_segment *s, size_t slab_bytes, struct err *err)
{
    void *slab = NULL, *ring = NULL;

    if (cudaMalloc(&slab, slab_bytes) != cudaSuccess)
        return device_cuda_no_space(slab_bytes, err);
    if (cudaHostAlloc(&ring, slab_bytes * RING_SLABS, cudaHostAllocDefault) != cudaSuccess) {
        (void)cudaGetLastError();
        cudaFree(slab);
        return err_set(err, ST_DEVICE, "%zu bytes of pinned host memory are refused",
                       slab_bytes * RING_SLABS);
    }
    s->slab = slab;
    s->ring = ring;
    s->slab_bytes = slab_bytes;
    s->ring_bytes = slab_bytes * RING_SLABS;
    s->ring_at = 0;
    s->has_room = false;
    return ST_OK;
}

enum status device_cuda_segment_open(struct device_cuda *cuda, struct err *err)
{
    struct cuda_segment *s = &cuda->segment;

    s->key = mem_zalloc(DEVICE_CUDA_SEGMENT * (sizeof(struct cuda_launch_head) + PARAMS_MAX));
    for (int i = 0; i < CUDA_FENCES; i++) {
        cudaError_t e = cudaEventCreateWithFlags(&s->fence[i].event, cudaEventDisableTiming);
        if (e != cudaSuccess)
            return device_cuda_refused(e, "creating an event", err);
    }
    return open_slab(s, SLAB_BYTES, err);
}

void device_cuda_segment_close(struct device_cuda *cuda)
{
    struct cuda_segment *s = &cuda->segment;

    cudaFree(s->scratch);
    cudaFreeHost(s->ring);
    cudaFree(s->slab);
    for (int i = 0; i < CUDA_FENCES; i++)
        if (s->fence[i].event != NULL)
            cudaEventDestroy(s->fence[i].event);
    free(s->key);
}

static bool overlaps(const struct cuda_fence *f, size_t begin, size_t end)
{
    return f->begin < end && begin < f->end;
}

/* Waits until the first `n` fences have passed. */
static enum status pass_fences(struct device_cuda *cuda, unsigned n, struct err *err)
{
    struct cuda_segment *s = &cuda->segment;

    for (; n > 0; n--) {
        cudaError_t e = cudaEventSynchronize(s->fence[s->first_fence].event);
        if (e != cudaSuccess)
            return device_cuda_fault(cuda, e, "running operations", err);
        s->first_fence = (s->first_fence + 1) % CUDA_FENCES;
        s->n_fences--;
    }
    return ST_OK;
}

/* A slab's worth of the ring that no copy reads any more. */
static enum status make_room(struct device_cuda *cuda, struct err *err)
{
    struct cuda_segment *s = &cuda->segment;
    unsigned n_pass = s->n_fences == CUDA_FENCES ? 1 : 0;
    enum status st;

    if (s->ring_at + s->slab_bytes > s->ring_bytes)
        s->ring_at = 0;
    for (unsigned i = 0; i < s->n_fences; i++)
        if (overlaps(&s->fence[(s->first_fence + i) % CUDA_FENCES], s->ring_at,
                     s->ring_at + s->slab_bytes))
            n_pass = i + 1;
    st = pass_fences(cuda, n_pass, err);
    s->has_room = st == ST_OK;
    return st;
}

static enum status grow_slab(struct device_cuda *cuda, size_t args_bytes, struct err *err)
{
    struct cuda_segment *s = &cuda->segment;
    size_t slab_bytes = s->slab_bytes > 0 ? s->slab_bytes : SLAB_BYTES;
    enum status st = pass_fences(cuda, s->n_fences, err);
    cudaError_t e;

    if (st != ST_OK)
        return st;
    e = cudaStreamSynchronize(cuda->compute); /* kernels read the slab */
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "running operations", err);
    while (slab_bytes < args_bytes)
        slab_bytes *= 2;
    cudaFreeHost(s->ring);
    cudaFree(s->slab);
    s->ring = s->slab = NULL;
    s->ring_bytes = s->slab_bytes = 0;
    return open_slab(s, slab_bytes, err);
}

static enum status grow_scratch(struct device_cuda *cuda, size_t scratch_bytes, struct err *err)
{
    struct cuda_segment *s = &cuda->segment;
    size_t grown = s->scratch_bytes > 0 ? s->scratch_bytes : SCRATCH_BYTES;
    enum status st = device_cuda_submit(&cuda->base, err);

    if (st != ST_OK)
        return st;
    while (grown < scratch_bytes)
        grown *= 2;
    cudaFree(s->scratch); /* waits for the kernels that use it */
    s->scratch = NULL;
    s->scratch_bytes = 0;
    if (cudaMalloc(&s->scratch, grown) != cudaSuccess) {
        s->scratch = NULL;
        return device_cuda_no_space(grown, err);
    }
    s->scratch_bytes = grown;
    return ST_OK;
}

enum status device_cuda_begin(struct device *dev, const struct device_cuda_op *op, void **scratch,
                              struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    struct cuda_segment *s = &cuda->segment;
    enum status st = device_cuda_enter(cuda, err);
    bool is_full = s->n_launches + op->n_launches > DEVICE_CUDA_SEGMENT ||
                   s->args_bytes + op->args_bytes > s->slab_bytes;

    CHECK(op->n_launches <= DEVICE_CUDA_SEGMENT);
    if (st == ST_OK && is_full)
        st = device_cuda_submit(dev, err);
    if (st == ST_OK && op->args_bytes > s->slab_bytes)
        st = grow_slab(cuda, op->args_bytes, err);
    if (st == ST_OK && op->scratch_bytes > s->scratch_bytes)
        st = grow_scratch(cuda, op->scratch_bytes, err);
    if (st != ST_OK)
        return err_in(err, st, "%s", op->name);
    s->op_name = op->name;
    s->op_launches = op->n_launches;
    s->op_args = op->args_bytes;
    if (scratch != NULL)
        *scratch = op->scratch_bytes > 0 ? s->scratch : NULL;
    return ST_OK;
}

enum status device_cuda_args(struct device *dev, const void *host, size_t n, const void **out,
                             struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    struct cuda_segment *s = &cuda->segment;
    size_t taken = round_up(n, ARG_ALIGN);
    enum status st = s->has_room ? ST_OK : make_room(cuda, err);

    if (st != ST_OK)
        return err_in(err, st, "%s", s->op_name);
    CHECK(taken <= s->op_args); /* more than the operation's begin said */
    if (n > 0)
        memcpy(s->ring + s->ring_at + s->args_bytes, host, n);
    *out = s->slab + s->args_bytes;
    s->args_bytes += taken;
    s->op_args -= taken;
    return ST_OK;
}

/* Blocks of more shared memory than every kernel may have are asked for once
 * per kernel and size. */
static enum status allow_shared(struct device_cuda *cuda, const struct device_cuda_launch *l,
                                struct err *err)
{
    struct cuda_segment *s = &cuda->segment;
    size_t slot = ((uintptr_t)l->kernel >> 4) % CUDA_KERNELS;
    cudaError_t e;

    for (int probe = 0; s->kernel[slot].kernel != NULL && s->kernel[slot].kernel != l->kernel;
         probe++) {
        CHECK(probe < CUDA_KERNELS); /* there are fewer kernels than slots */
        slot = (slot + 1) % CUDA_KERNELS;
    }
    if (s->kernel[slot].shared_bytes >= l->shared_bytes)
        return ST_OK;
    e = cudaFuncSetAttribute(l->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             (int)l->shared_bytes);
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, s->op_name, err);
    s->kernel[slot].kernel = l->kernel;
    s->kernel[slot].shared_bytes = l->shared_bytes;
    return ST_OK;
}

enum status device_cuda_launch(struct device *dev, const struct device_cuda_launch *launch,
                               struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    struct cuda_segment *s = &cuda->segment;
    struct cuda_launch_head head = {.name = s->op_name,
                                    .kernel = launch->kernel,
                                    .shared_bytes = (uint32_t)launch->shared_bytes,
                                    .params_bytes = (uint32_t)launch->params_bytes,
                                    .is_early = launch->is_early};
    size_t padded = round_up(launch->params_bytes, ARG_ALIGN);
    enum status st = ST_OK;

    CHECK(s->op_launches > 0 && launch->params_bytes <= PARAMS_MAX);
    if (launch->shared_bytes > SHARED_FREE)
        st = allow_shared(cuda, launch, err);
    if (st != ST_OK)
        return st;
    memcpy(head.grid, launch->grid, sizeof head.grid);
    memcpy(head.block, launch->block, sizeof head.block);
    memcpy(s->key + s->key_bytes, &head, sizeof head);
    s->key_bytes += sizeof head;
    memset(s->key + s->key_bytes, 0, padded);
    memcpy(s->key + s->key_bytes, launch->params, launch->params_bytes);
    s->key_bytes += padded;
    s->n_launches++;
    s->op_launches--;
    return ST_OK;
}

static enum status send_args(struct device_cuda *cuda, struct err *err)
{
    struct cuda_segment *s = &cuda->segment;
    struct cuda_fence *f = &s->fence[(s->first_fence + s->n_fences) % CUDA_FENCES];
    cudaError_t e = (cudaError_t)device_cuda_args_send(&cuda->base, s->slab, s->ring + s->ring_at,
                                                       s->args_bytes);

    if (e == cudaSuccess)
        e = cudaEventRecord(f->event, cuda->compute);
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "sending arguments", err);
    f->begin = s->ring_at;
    f->end = s->ring_at + s->args_bytes;
    s->n_fences++;
    s->ring_at = round_up(f->end, RING_ALIGN);
    s->has_room = false;
    return ST_OK;
}

enum status device_cuda_submit(struct device *dev, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    struct cuda_segment *s = &cuda->segment;
    enum status st = device_cuda_enter(cuda, err);

    if (st == ST_OK && s->n_launches > 0 && s->args_bytes > 0)
        st = send_args(cuda, err);
    if (st == ST_OK && s->n_launches > 0) {
        st = device_cuda_graph_run(cuda, err);
        cuda->work++;
    }
    s->n_launches = 0;
    s->key_bytes = 0;
    s->args_bytes = 0;
    return st;
}

void *device_cuda_stream(struct device *dev)
{
    return device_cuda_of(dev)->compute;
}
