/*
 * swiglu_avx2.h - elements [begin, end) of a swiglu. For swiglu_cpu.c only,
 * after device_cpu_avx2().
 */
#ifndef KERNELS_SWIGLU_AVX2_H
#define KERNELS_SWIGLU_AVX2_H

#include <stddef.h>

#include "kernels/swiglu.h"

void swiglu_avx2(const struct swiglu_args *a, size_t begin, size_t end);

#endif
