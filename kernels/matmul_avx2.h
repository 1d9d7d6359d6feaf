/*
 * matmul_avx2.h - a rectangle of a matmul's output. For matmul_cpu.c only,
 * after device_cpu_avx2().
 *
 * Order of every element, here and in any other path of the same device:
 * partial sum l = 0 .. 7 takes i = l, l + 8, l + 16, ... in order, each by one
 * fused multiply-add; the fold is ((0+1)+(2+3)) + ((4+5)+(6+7)); then the bias
 * is added, then what `out` held.
 */
#ifndef KERNELS_MATMUL_AVX2_H
#define KERNELS_MATMUL_AVX2_H

#include <stddef.h>

#include "kernels/matmul.h"

enum {
    MATMUL_AVX2_ROWS = 120, /* most rows of a block call: a multiple of the tile's 3 */
    MATMUL_AVX2_OUTS = 16   /* most outputs of a block call: a multiple of the tile's 4 */
};

struct matmul_part {
    int row, row_end;
    int out, out_end;
};

/* Any rectangle; weights go straight from memory into the sums, and are read
 * (from a cache) and converted once for every 3 rows. */
void matmul_avx2_direct(const struct matmul_args *a, struct matmul_part part);

/* Up to MATMUL_AVX2_ROWS x MATMUL_AVX2_OUTS: weights are converted once into
 * `scratch` (matmul_avx2_scratch bytes, 64-byte aligned) and used by all rows. */
void matmul_avx2_block(const struct matmul_args *a, struct matmul_part part, void *scratch);
size_t matmul_avx2_scratch(void);

#endif
