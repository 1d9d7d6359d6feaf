/*
 * shim_queue.h - streams: work in order, that runs when somebody waits for it,
 * for an event after it, or for a stream that waits for such an event.
 */
#ifndef TESTS_CUDA_SHIM_SHIM_QUEUE_H
#define TESTS_CUDA_SHIM_SHIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include <cuda_runtime_api.h>

/* A piece of work: run(payload), the payload being bytes that are copied. */
typedef void shim_queue_run(const void *payload);

/* Behind the work of `stream`; into the graph if it is being captured. NULL, the
 * legacy stream: runs now, after the streams that were not made with
 * cudaStreamNonBlocking. */
void shim_queue_add(cudaStream_t stream, shim_queue_run *run, const void *payload, size_t n);
/* Runs all work of `stream` (NULL: of all streams). */
void shim_queue_finish(cudaStream_t stream);
bool shim_queue_is_stream(cudaStream_t stream); /* NULL is one */
bool shim_queue_is_captured(cudaStream_t stream);

#endif
