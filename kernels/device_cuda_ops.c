#include "kernels/device_cuda_ops.h"

const struct device_ops device_cuda_ops = {
#define CUDA_OP(op) .op = op##_cuda,
    DEVICE_OPS_LIST(CUDA_OP)
#undef CUDA_OP
};
