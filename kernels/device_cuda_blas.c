#include <cublas_v2.h>

#include "kernels/device_cuda_state.h"

/* cuBLAS's own advice for Hopper (cublasSetWorkspace). Given by us, it makes
 * results the same from call to call, and no allocation happens later. */
#define WORKSPACE_BYTES ((size_t)32 << 20)

static enum status blas_refused(cublasStatus_t s, const char *what, struct err *err)
{
    return err_set(err, ST_DEVICE, "%s: %s", what, cublasGetStatusString(s));
}

static enum status open_handle(struct device_cuda *cuda, struct err *err)
{
    cublasHandle_t handle = NULL;
    cublasStatus_t s = cublasCreate(&handle);

    if (s != CUBLAS_STATUS_SUCCESS)
        return blas_refused(s, "opening cuBLAS", err);
    cuda->blas = handle;
    s = cublasSetStream(handle, cuda->compute);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasSetWorkspace(handle, cuda->blas_workspace, WORKSPACE_BYTES);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasSetAtomicsMode(handle, CUBLAS_ATOMICS_NOT_ALLOWED);
    if (s != CUBLAS_STATUS_SUCCESS)
        return blas_refused(s, "setting cuBLAS up", err);
    return ST_OK;
}

enum status device_cuda_blas(struct device *dev, void **handle, struct err *err)
{
    struct device_cuda *cuda = device_cuda_of(dev);
    enum status st = device_cuda_enter(cuda, err);

    if (st == ST_OK && cuda->blas == NULL) {
        if (cudaMalloc(&cuda->blas_workspace, WORKSPACE_BYTES) != cudaSuccess) {
            cuda->blas_workspace = NULL;
            return device_cuda_no_space(WORKSPACE_BYTES, err);
        }
        st = open_handle(cuda, err);
        if (st != ST_OK)
            device_cuda_blas_close(cuda);
    }
    if (st == ST_OK)
        *handle = cuda->blas;
    return st;
}

void device_cuda_blas_close(struct device_cuda *cuda)
{
    if (cuda->blas != NULL)
        cublasDestroy(cuda->blas);
    cudaFree(cuda->blas_workspace);
    cuda->blas = NULL;
    cuda->blas_workspace = NULL;
}
