/*
 * sample.h - small kernels that test the shim itself, started from C.
 *
 * Each runs as one grid and has ended when the call returns. Device memory is
 * whatever the kernel may touch: here, host arrays.
 */
#ifndef TESTS_CUDA_SHIM_SAMPLE_H
#define TESTS_CUDA_SHIM_SAMPLE_H

#include <stdint.h>

#include <cuda_runtime_api.h>

struct sample_args {
    const void *in, *in2;
    void *out;
    int n, kind, width;
};

enum sample_kernel {
    SAMPLE_INDEX,      /* out[i] of u32 = i, for the grid of 3 x 2 x 2 blocks of 4 x 3 x 2 */
    SAMPLE_SUM,        /* *out of u32 = sum of in[n], one block of n threads, shared memory */
    SAMPLE_RACE,       /* as SAMPLE_MIRROR, without the barrier */
    SAMPLE_MIRROR,     /* out[i] of u32 = i, written to shared memory by thread n-1-i */
    SAMPLE_SHUFFLE,    /* out[lane] of u32 = shuffle `kind` of in[lane] by n, segments of width */
    SAMPLE_VOTE,       /* out[0..2] of u32 = ballot, any, all of in[lane] != 0 */
    SAMPLE_MMA,        /* out[16][8] f32 += in[16][16] * in2[16][8], f16, or bf16 if n */
    SAMPLE_LDMATRIX,   /* out[32][4] of u32 from in[32][8] of u16; transposed if n */
    SAMPLE_ASYNC,      /* out[32][4] of u32 = in, through shared memory; n: no wait */
    SAMPLE_HALF,       /* out[4][n] of u16: sum, difference, product of in, in2; fma with in */
    SAMPLE_CONVERT,    /* out[n] of u16 = f16 of in[n] f32, or bf16 if kind */
    SAMPLE_PERMUTE,    /* *out of u32 = prmt(in[0], in[1], n) */
    SAMPLE_DIVERGE,    /* half of the threads reach another barrier */
    SAMPLE_LOST_LANE,  /* lane 3 stays away from a shuffle, at a barrier */
    SAMPLE_ENDED_LANE, /* lane 0 reads lane 5, which has ended */
    SAMPLE_MISALIGNED, /* a 16-byte load from in */
    SAMPLE_TOUCH,      /* out[n] of u8 = 1 */
    SAMPLE_SHARED,     /* touches byte n of its dynamic shared memory */
    SAMPLE_APPEND,     /* out[atomicAdd(out, 1) + 1] of u32 = n */
    SAMPLE_WAIT,       /* the same after ptx_grid_wait, which thread `kind` does not call */
    SAMPLE_COUNT
};

/* Registers the kernel and returns its address, for launches and graphs. */
const void *sample_kernel(enum sample_kernel which);

#endif
