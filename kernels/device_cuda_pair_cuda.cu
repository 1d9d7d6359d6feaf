/*
 * Two early launches, to learn at opening whether the driver takes them.
 */
#include "kernels/op_cuda.cuh"

struct pair_params {
    unsigned *n; /* of the second launch: what the first has counted */
    unsigned step;
};

static __global__ void pair_kernel(struct pair_params p)
{
    ptx_grid_launch_dependents();
    ptx_grid_wait();
    *p.n = p.step == 0 ? 1 : *p.n + p.step;
}

static enum status launch_pair(struct device *dev, unsigned **n, struct err *err)
{
    const struct device_cuda_op op = {"early launches", 0, sizeof **n, 2};
    struct pair_params p;
    void *scratch = NULL;
    enum status st = device_cuda_begin(dev, &op, &scratch, err);

    memset(&p, 0, sizeof p);
    *n = p.n = (unsigned *)scratch;
    for (; st == ST_OK && p.step < 2; p.step++)
        st = cuda_launch_early(dev, pair_kernel, dim3(1), dim3(1), 0, p, err);
    return st == ST_OK ? device_cuda_submit(dev, err) : st;
}

extern "C" enum status device_cuda_pair_try(struct device *dev, struct err *err)
{
    unsigned *n = NULL, result = 0;
    enum status st = ST_OK;

    /* A segment has a graph from the second time on. */
    for (int turn = 0; st == ST_OK && turn < 3; turn++)
        st = launch_pair(dev, &n, err);
    if (st == ST_OK)
        st = device_cuda_read(dev, &result, n, sizeof result, err);
    if (st == ST_OK && result != 2)
        return err_set(err, ST_DEVICE, "two kernels in order have counted to %u, not to 2", result);
    return st;
}
