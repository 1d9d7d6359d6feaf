/* The fast attention kernel for head_dim 64; a file of its own so that it builds beside others. */
#include "kernels/attention_tile_kernel.cuh"

enum status attention_tile64(struct device *dev, const struct attention_cuda_plan *plan,
                             struct err *err)
{
    return tile_run<64>(dev, plan, err);
}
