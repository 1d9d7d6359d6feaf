#include <stdio.h>

#include "kernels/device_cuda_state.h"

enum status device_cuda_enter(struct device_cuda *cuda, struct err *err)
{
    cudaError_t e;

    if (cuda->lost[0] != '\0')
        return err_set(err, ST_DEVICE, "%s", cuda->lost);
    e = cudaSetDevice(cuda->number); /* the current device is a thread's own */
    if (e != cudaSuccess)
        return device_cuda_fault(cuda, e, "choosing the GPU", err);
    return ST_OK;
}

enum status device_cuda_refused(cudaError_t e, const char *what, struct err *err)
{
    (void)cudaGetLastError(); /* else the next question for errors finds this one */
    return err_set(err, ST_DEVICE, "%s: %s (%s)", what, cudaGetErrorString(e), cudaGetErrorName(e));
}

enum status device_cuda_fault(struct device_cuda *cuda, cudaError_t e, const char *what,
                              struct err *err)
{
    (void)cudaGetLastError();
    snprintf(cuda->lost, sizeof cuda->lost,
             "%s: %s (%s); this process cannot use the GPU any more: look for Xid lines in the "
             "kernel's log, then start the run again",
             what, cudaGetErrorString(e), cudaGetErrorName(e));
    return err_set(err, ST_DEVICE, "%s", cuda->lost);
}

enum status device_cuda_no_space(size_t size_bytes, struct err *err)
{
    size_t free_bytes = 0, total_bytes = 0;

    (void)cudaGetLastError();
    if (cudaMemGetInfo(&free_bytes, &total_bytes) != cudaSuccess)
        return err_set(err, ST_NO_SPACE, "the GPU's memory has no %zu bytes left", size_bytes);
    return err_set(err, ST_NO_SPACE,
                   "the GPU's memory has no %zu bytes left: %zu of %zu are free; keep fewer layers "
                   "on it, or end what else runs there",
                   size_bytes, free_bytes, total_bytes);
}
