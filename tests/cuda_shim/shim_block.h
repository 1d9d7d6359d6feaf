/*
 * shim_block.h - the threads of one block: each runs until it must wait for
 * others, then the next one goes on.
 *
 * Lanes of a warp run in order, warps one after the other; the direction turns
 * from block to block, so that a missing barrier shows whichever way the data
 * flow. A thread that waits for what can never come ends the process with a
 * line that says where every thread stands.
 */
#ifndef TESTS_CUDA_SHIM_SHIM_BLOCK_H
#define TESTS_CUDA_SHIM_SHIM_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda_runtime_api.h>

#define SHIM_WARP_LANES        32
#define SHIM_BLOCK_THREADS_MAX 1024

#ifdef __cplusplus
extern "C" {
#endif

/* What threads wait for together, and where in the source. */
struct shim_wait {
    const char *name; /* "__syncthreads" */
    const char *file;
    int line;
    uint32_t mask; /* lanes of the warp; 0: the whole block */
};

/* One lane's part in a collective of its warp. */
struct shim_warp_call {
    struct shim_wait wait;
    /* Called once, when all lanes have come, with every lane's part (NULL for
     * the others): fills the results. */
    void (*finish)(struct shim_warp_call *const call[SHIM_WARP_LANES]);
    uint64_t value;    /* what the lane brings, and then its result */
    int source;        /* shuffles: the lane to read */
    float *d;          /* mma: its fragments */
    const uint32_t *a; /* mma */
    const uint32_t *b; /* mma */
    uint32_t *r;       /* ldmatrix: the result */
    const void *row;   /* ldmatrix */
    bool bf16;         /* mma */
    bool trans;        /* ldmatrix */
};

/* The thread that runs, and its place in its warp. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
int shim_block_thread(void); /* its number in the block */
int shim_block_lane(void);

/* Called by threads. The lanes of call->wait.mask that have not ended must all
 * come; the caller must be one of them. */
void shim_block_warp(struct shim_warp_call *call);
void shim_block_barrier(const char *file, int line);
/* ptx_grid_wait by the running thread, and whether it has called it. */
void shim_block_grid_wait(void);
bool shim_block_has_waited(void);
/* Says what is wrong, naming kernel, block and thread, and ends the process. */
void shim_block_fail(const char *file, int line, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

/* Runs body(arg) in every thread of a block of blockDim; blockIdx and the rest
 * are set. `name` is for messages. */
void shim_block_run(const char *name, void (*body)(const void *arg), const void *arg, bool reverse);

#ifdef __cplusplus
}
#endif

#endif
