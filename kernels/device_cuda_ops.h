/*
 * device_cuda_ops.h - the CUDA device's table of operations: X_cuda of every X
 * in DEVICE_OPS_LIST, each in kernels/X_cuda.cu. For files in kernels/ only.
 */
#ifndef KERNELS_DEVICE_CUDA_OPS_H
#define KERNELS_DEVICE_CUDA_OPS_H

#include "kernels/ops.h"

#define DEVICE_CUDA_DECLARE(op)                                                                    \
    enum status op##_cuda(struct device *dev, const struct op##_args *args, struct err *err);
DEVICE_OPS_LIST(DEVICE_CUDA_DECLARE)
#undef DEVICE_CUDA_DECLARE

extern const struct device_ops device_cuda_ops;

#endif
