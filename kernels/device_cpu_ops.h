/*
 * device_cpu_ops.h - the cpu device's table of operations. For files in
 * kernels/ only.
 */
#ifndef KERNELS_DEVICE_CPU_OPS_H
#define KERNELS_DEVICE_CPU_OPS_H

#include "kernels/ops.h"

extern const struct device_ops device_cpu_ops;

#endif
