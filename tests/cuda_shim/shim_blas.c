#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cublas_v2.h>

#include "kernels/half.h"
#include "tests/cuda_shim/shim_device.h"
#include "tests/cuda_shim/shim_memory.h"
#include "tests/cuda_shim/shim_queue.h"

struct cublasContext {
    cudaStream_t stream;
};

cublasStatus_t cublasCreate(cublasHandle_t *handle)
{
    *handle = calloc(1, sizeof **handle);
    return *handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t size_bytes)
{
    (void)handle;
    return shim_memory_reach(workspace, size_bytes) ? CUBLAS_STATUS_SUCCESS
                                                    : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode)
{
    (void)handle;
    return mode == CUBLAS_ATOMICS_NOT_ALLOWED ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS         ? "the request finished"
           : status == CUBLAS_STATUS_INVALID_VALUE ? "an unsupported value or parameter"
                                                   : "cuBLAS failed";
}

struct matrix {
    const void *p;
    cudaDataType_t type;
    bool transposed;
    int ld;
};

/* A transposed m x k, b k x n or transposed, c m x n; all column-major. */
struct product {
    struct matrix a, b;
    int m, n, k, ldc;
    float alpha, beta;
    float *c;
};

static float element(const struct matrix *x, int row, int column)
{
    size_t i = x->transposed ? (size_t)row * (size_t)x->ld + (size_t)column
                             : (size_t)column * (size_t)x->ld + (size_t)row;
    float f;
    uint16_t h;

    if (x->type == CUDA_R_32F) {
        memcpy(&f, (const char *)x->p + i * 4, sizeof f);
        return f;
    }
    memcpy(&h, (const char *)x->p + i * 2, sizeof h);
    return x->type == CUDA_R_16F ? half_from_f16(h) : half_from_bf16(h);
}

/* Runs with device memory open. */
static void run_product(const void *payload)
{
    struct product p;

    memcpy(&p, payload, sizeof p);
    for (int column = 0; column < p.n; column++)
        for (int row = 0; row < p.m; row++) {
            float *c = p.c + (size_t)column * (size_t)p.ldc + row;
            float sum = 0.0f;

            for (int i = 0; i < p.k; i++)
                sum += element(&p.a, row, i) * element(&p.b, i, column);
            *c = p.alpha * sum + (p.beta == 0.0f ? 0.0f : p.beta * *c);
        }
}

/* Bytes of a column-major matrix of so many rows and columns. */
static size_t extent(const struct matrix *x, int rows, int columns)
{
    size_t size = x->type == CUDA_R_32F ? 4 : 2;
    size_t n = (size_t)(x->transposed ? rows : columns),
           used = (size_t)(x->transposed ? columns : rows);

    return ((n - 1) * (size_t)x->ld + used) * size;
}

static bool fits(const struct matrix *x, int rows, int columns)
{
    return x->ld >= (x->transposed ? columns : rows) &&
           shim_memory_reach(x->p, extent(x, rows, columns)) != NULL;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                            int m, int n, int k, const void *alpha, const void *a,
                            cudaDataType_t a_type, int lda, const void *b, cudaDataType_t b_type,
                            int ldb, const void *beta, void *c, cudaDataType_t c_type, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t algorithm)
{
    struct product p = {.a = {a, a_type, op_a == CUBLAS_OP_T, lda},
                        .b = {b, b_type, op_b == CUBLAS_OP_T, ldb},
                        .m = m,
                        .n = n,
                        .k = k,
                        .ldc = ldc,
                        .c = c};
    const struct matrix out = {c, CUDA_R_32F, false, ldc};
    cublasStatus_t status = CUBLAS_STATUS_INVALID_VALUE;

    (void)algorithm;
    memcpy(&p.alpha, alpha, sizeof p.alpha);
    memcpy(&p.beta, beta, sizeof p.beta);
    shim_device_enter();
    if (m > 0 && n > 0 && k > 0 && a_type == b_type && c_type == CUDA_R_32F &&
        compute == CUBLAS_COMPUTE_32F && fits(&p.a, m, k) && fits(&p.b, k, n) && fits(&out, m, n)) {
        shim_queue_add(handle->stream, run_product, &p, sizeof p);
        status = CUBLAS_STATUS_SUCCESS;
    }
    return shim_device_leave(cudaSuccess) == cudaSuccess ? status : CUBLAS_STATUS_EXECUTION_FAILED;
}
