#include "kernels/device_cpu_ops.h"

const struct device_ops device_cpu_ops = {
#define CPU_OP(op) .op = op##_cpu,
    DEVICE_OPS_LIST(CPU_OP)
#undef CPU_OP
};
