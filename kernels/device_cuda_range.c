/*
 * Ranges as NVTX, which a profiler shows beside the kernels launched in them.
 * NVTX 3 is headers only: without a profiler a call ends at a null pointer.
 */
#include <nvtx3/nvToolsExt.h>

#include "kernels/device_cuda_state.h"

void device_cuda_range_push(struct device *dev, const char *name)
{
    (void)nvtxRangePushA(name);
}

void device_cuda_range_pop(struct device *dev)
{
    (void)nvtxRangePop();
}
