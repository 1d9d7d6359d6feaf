/*
 * embed_avx2.h - one row of an embedding table as f32. For embed_cpu.c only,
 * after device_cpu_avx2().
 */
#ifndef KERNELS_EMBED_AVX2_H
#define KERNELS_EMBED_AVX2_H

#include "kernels/embed.h"

void embed_avx2(const struct embed_args *a, int row);

#endif
