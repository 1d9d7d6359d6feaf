#include "tests/cuda_shim/shim_kernel.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/cuda_shim/shim_async.h"
#include "tests/cuda_shim/shim_block.h"
#include "tests/cuda_shim/shim_device.h"
#include "tests/cuda_shim/shim_launch.h"

#define KERNELS_MAX  512
#define SHARED_PLAIN (48 << 10) /* without opting in */
#define SHARED_END   ((size_t)256 << 10)
#define GRID_YZ_MAX  65535u
#define BLOCK_Z_MAX  64u
#define GUARD_BYTES  ((size_t)4096)

struct kernel {
    const void *address;
    const char *name;
    size_t params_bytes;
    shim_kernel_call *call;
    size_t shared_allowed;
};

static struct kernel kernels[KERNELS_MAX];
static int n_kernels;
static pthread_mutex_t kernels_lock = PTHREAD_MUTEX_INITIALIZER;

/* Dynamic shared memory ends where the guard page begins. */
static char *shared_end, *shared_begin;

static struct kernel *find(const void *address)
{
    struct kernel *found = NULL;

    pthread_mutex_lock(&kernels_lock);
    for (int i = 0; i < n_kernels && !found; i++)
        if (kernels[i].address == address)
            found = &kernels[i];
    pthread_mutex_unlock(&kernels_lock);
    return found;
}

void shim_kernel_add(const void *kernel, const char *name, size_t params_bytes,
                     shim_kernel_call *call)
{
    if (find(kernel))
        return;
    pthread_mutex_lock(&kernels_lock);
    if (n_kernels == KERNELS_MAX) {
        fprintf(stderr, "cuda shim: more than %d kernels\n", KERNELS_MAX);
        abort();
    }
    kernels[n_kernels++] = (struct kernel){kernel, name, params_bytes, call, SHARED_PLAIN};
    pthread_mutex_unlock(&kernels_lock);
}

cudaError_t shim_kernel_allow_shared(const void *kernel, int size_bytes)
{
    struct kernel *k = find(kernel);

    if (size_bytes < 0 || size_bytes > SHIM_DEVICE_SHARED_BYTES)
        return cudaErrorInvalidValue;
    if (k)
        k->shared_allowed = (size_t)size_bytes > SHARED_PLAIN ? (size_t)size_bytes : SHARED_PLAIN;
    return k ? cudaSuccess : cudaErrorInvalidDeviceFunction;
}

size_t shim_kernel_params_bytes(const void *kernel)
{
    const struct kernel *k = find(kernel);

    return k ? k->params_bytes : 0;
}

cudaError_t shim_kernel_check(const void *kernel, dim3 grid, dim3 block, size_t shared_bytes)
{
    const struct kernel *k = find(kernel);
    unsigned long long n_threads = (unsigned long long)block.x * block.y * block.z;

    if (!k)
        return cudaErrorInvalidDeviceFunction;
    if (n_threads == 0 || n_threads > SHIM_BLOCK_THREADS_MAX || block.z > BLOCK_Z_MAX ||
        grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > GRID_YZ_MAX ||
        grid.z > GRID_YZ_MAX)
        return cudaErrorInvalidConfiguration;
    return shared_bytes > k->shared_allowed ? cudaErrorInvalidValue : cudaSuccess;
}

void *shim_kernel_shared(void)
{
    return shared_begin;
}

static void place_shared(size_t size_bytes)
{
    if (!shared_end) {
        char *p = mmap(NULL, SHARED_END + GUARD_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p + SHARED_END, GUARD_BYTES, PROT_NONE)) {
            perror("cuda shim: shared memory");
            abort();
        }
        shared_end = p + SHARED_END;
    }
    shared_begin = shared_end - (size_bytes + 15) / 16 * 16;
}

struct bound_call {
    shim_kernel_call *call;
    const void *kernel, *params;
    bool is_early;
};

static void run_thread(const void *arg)
{
    const struct bound_call *b = arg;

    b->call(b->kernel, b->params);
    if (b->is_early && !shim_block_has_waited())
        shim_block_fail(__FILE__, __LINE__,
                        "a launch that may start before the one before it has ended, and this "
                        "thread has not called ptx_grid_wait");
}

void shim_kernel_run(const struct shim_launch *launch)
{
    static unsigned turn; /* every other grid, and every other block, runs backwards */
    const struct kernel *k = find(launch->kernel);
    struct bound_call bound = {k->call, launch->kernel, launch->params, launch->is_early};
    dim3 grid = launch->grid;
    size_t n = (size_t)grid.x * grid.y * grid.z;

    gridDim = grid;
    blockDim = launch->block;
    place_shared(launch->shared_bytes);
    turn++;
    for (size_t i = 0; i < n; i++) {
        size_t b = turn % 2 ? n - 1 - i : i;

        blockIdx.x = (unsigned)(b % grid.x);
        blockIdx.y = (unsigned)(b / grid.x % grid.y);
        blockIdx.z = (unsigned)(b / grid.x / grid.y);
        memset(shared_begin, 0xff, (size_t)(shared_end - shared_begin));
        shim_async_begin();
        shim_block_run(k->name, run_thread, &bound, (turn + i) % 2);
    }
}
