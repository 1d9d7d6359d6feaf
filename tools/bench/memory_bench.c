#include "tools/bench/memory_bench.h"

#include <stdio.h>

#include "kernels/device.h"

enum status memory_bench_run(const char *device, int n_threads, struct err *err)
{
    const struct device_options opt = {.n_threads = n_threads};
    struct device *dev = NULL;
    double gbps = 0;
    enum status st = device_open(&dev, device, &opt, err);

    if (st == ST_OK)
        st = device_measure_read(dev, &gbps, err);
    if (st == ST_OK)
        printf("%s: %.2f GB/s read\n", device_describe(dev), gbps);
    device_close(dev);
    return st;
}
