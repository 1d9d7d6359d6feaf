/*
 * Segments by their keys. A key is seen once (launched one by one), then has a
 * graph. The oldest in use gives way when the cache is full.
 *
 * Early launches (programmatic dependent launch; CUDA C++ programming guide,
 * "Programmatic Dependent Launch"). Within a segment kernel N+1 may start once
 * every block of N has started and called ptx_grid_launch_dependents, or ended; its
 * ptx_grid_wait returns when N has ended and what N wrote can be seen. Why that is
 * as good as order:
 * - Only a kernel launched early starts early, and each of its threads waits before
 *   it touches what others write or read (the host shim ends the process otherwise).
 *   So N+1 ends after N has: by induction, when N+1's wait returns, all kernels
 *   before N+1 have ended, however many are resident at a time. Nothing that N+2
 *   writes can meet a read of N, and scratch changes hands as in order.
 * - A kernel launched in order starts when the one before it has ended, and with it,
 *   by the same induction, all others.
 * - The first launch of a segment is in order, so copies, events, cuBLAS and other
 *   segments that are queued before it have ended before any kernel of the segment
 *   starts: they may have written arguments and weights, which N+1 may therefore
 *   read (weights) before its wait. What is queued behind a segment (copies, events
 *   that the copy stream waits for, cuBLAS) begins after its last kernel has ended.
 * - No block that waits keeps a block of a kernel before it from starting: those
 *   have all started when it does.
 */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/device_cuda_state.h"

/* A verification of 80 layers, each one segment, for a dozen numbers of rows. */
enum { CACHE_ENTRIES = 1024, CACHE_BUCKETS = 2048, LEAST_LAUNCHES = 2, NONE = -1 };

struct cache_entry {
    unsigned char *key; /* owned */
    size_t key_bytes;
    uint64_t hash, used_at;
    cudaGraphExec_t exec; /* NULL until the second sight */
    int next;             /* in its bucket */
};

struct cuda_graph_cache {
    struct cache_entry entry[CACHE_ENTRIES];
    int bucket[CACHE_BUCKETS];
    int n_entries;
    uint64_t clock;
};

struct cuda_graph_cache *device_cuda_graph_open(void)
{
    struct cuda_graph_cache *cache = mem_zalloc(sizeof *cache);

    for (int i = 0; i < CACHE_BUCKETS; i++)
        cache->bucket[i] = NONE;
    return cache;
}

static void clear_entry(struct cache_entry *entry)
{
    if (entry->exec != NULL)
        cudaGraphExecDestroy(entry->exec);
    free(entry->key);
    memset(entry, 0, sizeof *entry);
}

void device_cuda_graph_close(struct cuda_graph_cache *cache)
{
    if (cache == NULL)
        return;
    for (int i = 0; i < cache->n_entries; i++)
        clear_entry(&cache->entry[i]);
    free(cache);
}

/* Eight bytes a step; multiplier of splitmix64. Keys are compared in full too. */
static uint64_t hash_key(const unsigned char *key, size_t n)
{
    uint64_t hash = n, word;

    for (size_t i = 0; i + sizeof word <= n; i += sizeof word) {
        memcpy(&word, key + i, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return hash;
}

static struct cache_entry *find(struct cuda_graph_cache *cache, const struct cuda_segment *s,
                                uint64_t hash)
{
    for (int i = cache->bucket[hash % CACHE_BUCKETS]; i != NONE; i = cache->entry[i].next) {
        struct cache_entry *entry = &cache->entry[i];
        if (entry->hash == hash && entry->key_bytes == s->key_bytes &&
            memcmp(entry->key, s->key, s->key_bytes) == 0)
            return entry;
    }
    return NULL;
}

static void unlink_entry(struct cuda_graph_cache *cache, int index)
{
    int *link = &cache->bucket[cache->entry[index].hash % CACHE_BUCKETS];

    while (*link != index)
        link = &cache->entry[*link].next;
    *link = cache->entry[index].next;
}

static int free_entry(struct cuda_graph_cache *cache)
{
    int oldest = 0;

    if (cache->n_entries < CACHE_ENTRIES)
        return cache->n_entries++;
    for (int i = 1; i < CACHE_ENTRIES; i++)
        if (cache->entry[i].used_at < cache->entry[oldest].used_at)
            oldest = i;
    unlink_entry(cache, oldest);
    clear_entry(&cache->entry[oldest]);
    return oldest;
}

static struct cache_entry *add(struct cuda_graph_cache *cache, const struct cuda_segment *s,
                               uint64_t hash)
{
    int index = free_entry(cache);
    struct cache_entry *entry = &cache->entry[index];

    entry->key = mem_alloc(s->key_bytes);
    memcpy(entry->key, s->key, s->key_bytes);
    entry->key_bytes = s->key_bytes;
    entry->hash = hash;
    entry->next = cache->bucket[hash % CACHE_BUCKETS];
    cache->bucket[hash % CACHE_BUCKETS] = index;
    return entry;
}

/* The head at `at` and its parameters; moves `at` to the next. */
static void *read_launch(unsigned char *key, size_t *at, struct cuda_launch_head *head)
{
    void *params = key + *at + sizeof *head;

    memcpy(head, key + *at, sizeof *head);
    *at += sizeof *head + (head->params_bytes + 15) / 16 * 16;
    return params;
}

static cudaError_t launch_one(const struct device_cuda *cuda, const struct cuda_launch_head *head,
                              void **params, bool starts_early)
{
    cudaLaunchAttribute early = {
        .id = cudaLaunchAttributeProgrammaticStreamSerialization,
        .val.programmaticStreamSerializationAllowed = 1,
    };
    cudaLaunchConfig_t config = {
        .gridDim = {head->grid[0], head->grid[1], head->grid[2]},
        .blockDim = {head->block[0], head->block[1], head->block[2]},
        .dynamicSmemBytes = head->shared_bytes,
        .stream = cuda->compute,
        .attrs = &early,
        .numAttrs = starts_early && cuda->can_overlap ? 1 : 0,
    };

    return cudaLaunchKernelExC(&config, head->kernel, params);
}

static enum status launch_all(struct device_cuda *cuda, struct err *err)
{
    struct cuda_segment *s = &cuda->segment;
    struct cuda_launch_head head;

    for (size_t at = 0; at < s->key_bytes;) {
        bool is_first = at == 0;
        void *params = read_launch(s->key, &at, &head);
        cudaError_t e = launch_one(cuda, &head, &params, head.is_early != 0 && !is_first);
        if (e != cudaSuccess)
            return device_cuda_fault(cuda, e, head.name, err);
    }
    return ST_OK;
}

static cudaError_t add_nodes(cudaGraph_t graph, struct cuda_segment *s, bool can_overlap)
{
    const cudaGraphEdgeData early = {.from_port = cudaGraphKernelNodePortProgrammatic,
                                     .type = cudaGraphDependencyTypeProgrammatic};
    const cudaGraphEdgeData in_order = {.type = cudaGraphDependencyTypeDefault};
    cudaGraphNode_t node = NULL, before = NULL;
    struct cuda_launch_head head;

    for (size_t at = 0; at < s->key_bytes; before = node) {
        void *params = read_launch(s->key, &at, &head);
        struct cudaGraphNodeParams launch = {.type = cudaGraphNodeTypeKernel};
        launch.kernel = (struct cudaKernelNodeParamsV2){
            .func = (void *)head.kernel,
            .gridDim = {head.grid[0], head.grid[1], head.grid[2]},
            .blockDim = {head.block[0], head.block[1], head.block[2]},
            .sharedMemBytes = head.shared_bytes,
            .kernelParams = &params,
        };
        cudaError_t e = cudaGraphAddNode(&node, graph, &before,
                                         head.is_early && can_overlap ? &early : &in_order,
                                         before != NULL ? 1 : 0, &launch);
        if (e != cudaSuccess)
            return e;
    }
    return cudaSuccess;
}

static cudaError_t build_graph(struct device_cuda *cuda, cudaGraphExec_t *exec)
{
    cudaGraph_t graph = NULL;
    cudaError_t e = cudaGraphCreate(&graph, 0);

    if (e == cudaSuccess)
        e = add_nodes(graph, &cuda->segment, cuda->can_overlap);
    if (e == cudaSuccess)
        e = cudaGraphInstantiate(exec, graph, 0);
    if (graph != NULL)
        cudaGraphDestroy(graph);
    if (e != cudaSuccess)
        *exec = NULL;
    return e;
}

static enum status build(struct device_cuda *cuda, struct cache_entry *entry, struct err *err)
{
    cudaError_t e = build_graph(cuda, &entry->exec);

    if ((e == cudaErrorNotSupported || e == cudaErrorInvalidValue) && cuda->can_overlap) {
        (void)cudaGetLastError();
        cuda->can_overlap = false;
        e = build_graph(cuda, &entry->exec);
    }
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "building a graph of operations", err);
    return ST_OK;
}

enum status device_cuda_graph_run(struct device_cuda *cuda, struct err *err)
{
    struct cuda_graph_cache *cache = cuda->graphs;
    const struct cuda_segment *s = &cuda->segment;
    uint64_t hash = hash_key(s->key, s->key_bytes);
    struct cache_entry *entry = NULL;
    enum status st = ST_OK;
    cudaError_t e;

    if (s->n_launches < LEAST_LAUNCHES)
        return launch_all(cuda, err);
    entry = find(cache, s, hash);
    if (entry == NULL) {
        add(cache, s, hash)->used_at = ++cache->clock;
        return launch_all(cuda, err);
    }
    entry->used_at = ++cache->clock;
    if (entry->exec == NULL)
        st = build(cuda, entry, err);
    if (st != ST_OK)
        return st;
    e = cudaGraphLaunch(entry->exec, cuda->compute);
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "launching a graph of operations", err);
    return ST_OK;
}
