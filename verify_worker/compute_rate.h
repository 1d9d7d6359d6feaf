/*
 * compute_rate.h - how fast the device multiplies, by its own matrix product.
 */
#ifndef VERIFY_WORKER_COMPUTE_RATE_H
#define VERIFY_WORKER_COMPUTE_RATE_H

#include "kernels/device.h"

/* 1e9 operations per second (a multiplication and an addition are two) of the
 * best product found: BF16 weights, sizes doubled until one product takes two
 * milliseconds, so that a launch or a wake of threads does not count. A ceiling
 * of what passes can reach, since they use the same product on fewer rows. */
enum status compute_rate_measure(struct device *dev, double *out_gflops, struct err *err);

#endif
