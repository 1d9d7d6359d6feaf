/*
 * device_cpu.h - what the cpu implementations of operations share: the pool,
 * the choice of instruction set, scratch memory. For files in kernels/ only.
 */
#ifndef KERNELS_DEVICE_CPU_H
#define KERNELS_DEVICE_CPU_H

#include "common/pool.h"
#include "kernels/device.h"

struct pool *device_cpu_pool(struct device *dev);
/* AVX2, FMA and F16C are there and not switched off. */
bool device_cpu_avx2(const struct device *dev);
/* At least size_bytes of 64-byte aligned scratch, one block per thread of the
 * pool plus one shared (thread = -1). Kept and grown between calls; content is
 * undefined. Call it before pool_run, for all threads: growing is not
 * thread-safe. */
void device_cpu_reserve(struct device *dev, size_t shared_bytes, size_t per_thread_bytes);
void *device_cpu_scratch(struct device *dev, int thread);

#endif
