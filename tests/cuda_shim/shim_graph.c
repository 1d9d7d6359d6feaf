#include "tests/cuda_shim/shim_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_shim/shim_copy.h"
#include "tests/cuda_shim/shim_device.h"
#include "tests/cuda_shim/shim_launch.h"

/* A node, and its own handle. */
struct CUgraphNode_st {
    cudaGraphNode_t next;
    cudaGraph_t graph;
    shim_queue_run *run;
    size_t n;
    unsigned char payload[];
};

struct CUgraph_st {
    cudaGraphNode_t first, *last, newest;
};

struct CUgraphExec_st {
    struct CUgraph_st nodes;
};

void shim_graph_add(cudaGraph_t graph, shim_queue_run *run, const void *payload, size_t n)
{
    cudaGraphNode_t node = calloc(1, sizeof *node + n);

    if (!node) {
        fprintf(stderr, "cuda shim: out of host memory\n");
        abort();
    }
    node->graph = graph;
    node->run = run;
    node->n = n;
    memcpy(node->payload, payload, n);
    *graph->last = node;
    graph->last = &node->next;
    graph->newest = node;
}

static void free_nodes(struct CUgraph_st *g)
{
    while (g->first) {
        cudaGraphNode_t node = g->first;
        g->first = node->next;
        free(node);
    }
}

cudaError_t cudaGraphCreate(cudaGraph_t *graph, unsigned int flags)
{
    cudaGraph_t g = calloc(1, sizeof *g);

    if (!g || flags != 0) {
        free(g);
        return flags ? cudaErrorInvalidValue : cudaErrorMemoryAllocation;
    }
    g->last = &g->first;
    *graph = g;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    if (!graph)
        return cudaErrorInvalidValue;
    free_nodes(graph);
    free(graph);
    return cudaSuccess;
}

/* Work runs in the order of adding, so a graph of one chain means what it says;
 * another one is refused, for its nodes may run in any order on a GPU. */
static cudaError_t check_chain(cudaGraph_t graph, const cudaGraphNode_t *after, size_t n_after)
{
    if (!graph || (n_after > 0 && !after))
        return cudaErrorInvalidValue;
    if (!graph->newest)
        return n_after == 0 ? cudaSuccess : cudaErrorInvalidValue;
    for (size_t i = 0; i < n_after; i++)
        if (after[i] == graph->newest)
            return cudaSuccess;
    return cudaErrorNotSupported;
}

cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                   const cudaGraphNode_t *after, size_t n_after,
                                   const struct cudaKernelNodeParams *params)
{
    struct shim_launch launch;
    cudaError_t error = check_chain(graph, after, n_after);

    if (error == cudaSuccess)
        error = shim_launch_make(&launch, params->func, params->gridDim, params->blockDim,
                                 params->kernelParams, params->sharedMemBytes);
    if (error == cudaSuccess) {
        shim_graph_add(graph, shim_launch_run, &launch, sizeof launch);
        *node = graph->newest;
    }
    return error;
}

/* A node may start early after a kernel only, by the port that says so. */
static cudaError_t check_edges(cudaGraph_t graph, const cudaGraphEdgeData *edge, size_t n,
                               bool *is_early)
{
    *is_early = false;
    for (size_t i = 0; i < n && edge; i++) {
        if (edge[i].type == cudaGraphDependencyTypeDefault && edge[i].from_port == 0)
            continue;
        if (edge[i].type != cudaGraphDependencyTypeProgrammatic ||
            edge[i].from_port != cudaGraphKernelNodePortProgrammatic ||
            graph->newest->run != shim_launch_run)
            return cudaErrorInvalidValue;
        *is_early = true;
    }
    if (*is_early && shim_device_fault("early"))
        return cudaErrorNotSupported;
    return cudaSuccess;
}

cudaError_t cudaGraphAddNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after,
                             const cudaGraphEdgeData *edge, size_t n_after,
                             struct cudaGraphNodeParams *params)
{
    const struct cudaKernelNodeParamsV2 *k = &params->kernel;
    struct shim_launch launch;
    bool is_early = false;
    cudaError_t error = params->type == cudaGraphNodeTypeKernel ? check_chain(graph, after, n_after)
                                                                : cudaErrorNotSupported;

    if (error == cudaSuccess)
        error = check_edges(graph, edge, n_after, &is_early);
    if (error == cudaSuccess)
        error = shim_launch_make(&launch, k->func, k->gridDim, k->blockDim, k->kernelParams,
                                 k->sharedMemBytes);
    if (error == cudaSuccess) {
        launch.is_early = is_early;
        shim_graph_add(graph, shim_launch_run, &launch, sizeof launch);
        *node = graph->newest;
    }
    return error;
}

cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t *node, cudaGraph_t graph,
                                     const cudaGraphNode_t *after, size_t n_after, void *dst,
                                     const void *src, size_t n, enum cudaMemcpyKind kind)
{
    struct shim_copy copy;
    cudaError_t error = check_chain(graph, after, n_after);

    if (error == cudaSuccess)
        error = shim_copy_make(&copy, dst, src, n, kind);
    if (error == cudaSuccess) {
        shim_graph_add(graph, shim_copy_run, &copy, sizeof copy);
        *node = graph->newest;
    }
    return error;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    cudaGraphExec_t e = calloc(1, sizeof *e);

    if (!e || !graph || flags != 0) {
        free(e);
        return cudaErrorInvalidValue;
    }
    e->nodes.last = &e->nodes.first;
    for (cudaGraphNode_t node = graph->first; node; node = node->next)
        shim_graph_add(&e->nodes, node->run, node->payload, node->n);
    *exec = e;
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    return exec && shim_queue_is_stream(stream) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    cudaError_t error = cudaSuccess;

    shim_device_enter();
    if (!exec || !shim_queue_is_stream(stream)) {
        error = cudaErrorInvalidResourceHandle;
    } else {
        if (shim_device_fault("launch"))
            shim_device_lose(cudaErrorECCUncorrectable);
        for (cudaGraphNode_t node = exec->nodes.first; node; node = node->next)
            shim_queue_add(stream, node->run, node->payload, node->n);
    }
    return shim_device_leave(error);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    if (!exec)
        return cudaErrorInvalidResourceHandle;
    free_nodes(&exec->nodes);
    free(exec);
    return cudaSuccess;
}
