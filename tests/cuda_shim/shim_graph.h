/*
 * shim_graph.h - graphs: pieces of work kept and run again, in the order in
 * which they were added (a node can only come after nodes that are there).
 */
#ifndef TESTS_CUDA_SHIM_SHIM_GRAPH_H
#define TESTS_CUDA_SHIM_SHIM_GRAPH_H

#include "tests/cuda_shim/shim_queue.h"

void shim_graph_add(cudaGraph_t graph, shim_queue_run *run, const void *payload, size_t n);

#endif
