/*
 * rmsnorm_avx2.h - rows [row, row_end) of an rmsnorm. For rmsnorm_cpu.c only,
 * after device_cpu_avx2().
 */
#ifndef KERNELS_RMSNORM_AVX2_H
#define KERNELS_RMSNORM_AVX2_H

#include "kernels/rmsnorm.h"

void rmsnorm_avx2(const struct rmsnorm_args *a, int row, int row_end);

#endif
