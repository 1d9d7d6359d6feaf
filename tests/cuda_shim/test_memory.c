#include "tests/test_helpers.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "tests/cuda_shim/sample.h"

static void *device_memory(size_t n)
{
    void *p = NULL;

    assert_int_equal(cudaMalloc(&p, n), cudaSuccess);
    return p;
}

static cudaError_t launch(enum sample_kernel which, void *out, int n)
{
    struct sample_args args = {.out = out, .n = n};
    void *params[] = {&args};

    return cudaLaunchKernel(sample_kernel(which), (dim3){1, 1, 1}, (dim3){1, 1, 1}, params, 0,
                            NULL);
}

static void memory_goes_to_the_device_and_back(void **state)
{
    static const size_t sizes[] = {1, 255, 256, 257, 4095, 4096, 4097, 1000003};
    static unsigned char in[1000003], out[1000003];

    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * 31 >> 3);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        char *p = device_memory(sizes[s]);
        memset(out, 0, sizeof out);
        assert_int_equal((uintptr_t)p % 256, 0);
        assert_int_equal(cudaMemcpy(out, p, sizes[s], cudaMemcpyDefault), cudaSuccess);
        assert_int_equal(out[0], 0xff); /* fresh memory is not zero */
        assert_int_equal(cudaMemcpy(p, in, sizes[s], cudaMemcpyHostToDevice), cudaSuccess);
        assert_int_equal(cudaMemcpy(out, p, sizes[s], cudaMemcpyDeviceToHost), cudaSuccess);
        assert_memory_equal(out, in, sizes[s]);
        assert_int_equal(cudaMemcpy(out, p, sizes[s] + 1, cudaMemcpyDefault),
                         cudaErrorInvalidValue);
        assert_int_equal(cudaMemcpy(out, p, sizes[s], cudaMemcpyHostToDevice),
                         cudaErrorInvalidValue);
        assert_int_equal(cudaFree(p), cudaSuccess);
        assert_int_equal(cudaMemcpy(out, p, 1, cudaMemcpyDefault), cudaErrorInvalidValue);
        assert_int_equal(cudaFree(p), cudaErrorInvalidValue);
    }
}

static void memory_that_is_freed_can_be_had_again(void **state)
{
    size_t before, now, total;
    void *p[3];

    assert_int_equal(cudaMemGetInfo(&before, &total), cudaSuccess);
    for (int i = 0; i < 3; i++)
        p[i] = device_memory(total / 4);
    assert_int_equal(cudaMalloc(&p[0], total), cudaErrorMemoryAllocation);
    p[0] = NULL;
    assert_int_equal(cudaFree(p[1]), cudaSuccess);
    p[1] = device_memory(total / 4);
    assert_int_equal(cudaFree(p[1]), cudaSuccess);
    assert_int_equal(cudaFree(p[2]), cudaSuccess);
    assert_int_equal(cudaMemGetInfo(&now, &total), cudaSuccess);
    assert_true(now + total / 4 + 4096 >= before && now < before);
}

enum touch { TOUCH_BY_HOST, TOUCH_BEHIND_END };

/* The signal that ends a process which touches device memory as it must not. */
static int death_of(enum touch how)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        volatile unsigned char *p = device_memory(1024);

        signal(SIGSEGV, SIG_DFL);
        if (how == TOUCH_BY_HOST)
            p[0] = 1;
        else
            launch(SAMPLE_TOUCH, (void *)(uintptr_t)p, 1024);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_host_that_follows_a_device_pointer_dies(void **state)
{
    assert_int_equal(death_of(TOUCH_BY_HOST), SIGSEGV);
}

static void a_kernel_that_leaves_its_allocation_dies(void **state)
{
    assert_int_equal(death_of(TOUCH_BEHIND_END), SIGSEGV);
}

static void host_memory_is_registered_once_and_in_one_piece(void **state)
{
    static uint32_t host[4096];
    uint32_t *device = device_memory(sizeof host);
    cudaStream_t s;

    assert_int_equal(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), cudaSuccess);
    assert_int_equal(cudaHostRegister(host, 4096, 0), cudaSuccess);
    assert_int_equal(cudaHostRegister(host + 512, 4096, 0), cudaErrorHostMemoryAlreadyRegistered);
    assert_int_equal(cudaHostRegister(host + 1024, 4096, 0), cudaSuccess);
    assert_int_equal(cudaMemcpyAsync(device, host, 4096, cudaMemcpyHostToDevice, s), cudaSuccess);
    assert_int_equal(cudaMemcpyAsync(device, host, 8192, cudaMemcpyHostToDevice, s),
                     cudaErrorInvalidValue); /* over the border of two */
    assert_int_equal(cudaHostUnregister(host), cudaSuccess);
    assert_int_equal(cudaHostUnregister(host), cudaErrorHostMemoryNotRegistered);
    assert_int_equal(cudaHostUnregister(host + 1024), cudaSuccess);
    assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
    assert_int_equal(cudaFree(device), cudaSuccess);
}

/* In a child: opens the block, checks and changes it. */
static void use_block_of_parent(int from_parent, int to_parent)
{
    cudaIpcMemHandle_t handle;
    void *p;
    uint32_t word = 0;
    bool good = read(from_parent, &handle, sizeof handle) == (ssize_t)sizeof handle;

    good = good && cudaIpcOpenMemHandle(&p, handle, 0) == cudaSuccess &&
           cudaMemcpy(&word, (uint32_t *)p + 3, 4, cudaMemcpyDeviceToHost) == cudaSuccess &&
           word == 33 && launch(SAMPLE_APPEND, p, 44) == cudaSuccess &&
           cudaIpcCloseMemHandle(p) == cudaSuccess && cudaFree(p) == cudaErrorInvalidValue;
    if (write(to_parent, &good, sizeof good) != (ssize_t)sizeof good)
        _exit(1);
    _exit(0);
}

static void a_block_is_shared_between_two_processes(void **state)
{
    int down[2], up[2], status;
    cudaIpcMemHandle_t handle;
    uint32_t *list, word = 33, words[2];
    bool good = false;
    pid_t child;

    assert_int_equal(pipe(down), 0);
    assert_int_equal(pipe(up), 0);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        use_block_of_parent(down[0], up[1]);
    list = device_memory(400);
    assert_int_equal(cudaMemset(list, 0, 400), cudaSuccess);
    assert_int_equal(cudaMemcpy(list + 3, &word, 4, cudaMemcpyHostToDevice), cudaSuccess);
    assert_int_equal(cudaIpcGetMemHandle(&handle, list), cudaSuccess);
    assert_int_equal(cudaIpcOpenMemHandle((void **)&list, handle, 0), cudaErrorInvalidDevice);
    assert_int_equal(write(down[1], &handle, sizeof handle), sizeof handle);
    assert_int_equal(read(up[0], &good, sizeof good), sizeof good);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(good);
    assert_int_equal(cudaMemcpy(words, list, sizeof words, cudaMemcpyDeviceToHost), cudaSuccess);
    assert_int_equal(words[0], 1);
    assert_int_equal(words[1], 44);
    assert_int_equal(cudaFree(list), cudaSuccess);
    for (int i = 0; i < 2; i++) {
        close(down[i]);
        close(up[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_goes_to_the_device_and_back),
        cmocka_unit_test(memory_that_is_freed_can_be_had_again),
        cmocka_unit_test(a_host_that_follows_a_device_pointer_dies),
        cmocka_unit_test(a_kernel_that_leaves_its_allocation_dies),
        cmocka_unit_test(host_memory_is_registered_once_and_in_one_piece),
        cmocka_unit_test(a_block_is_shared_between_two_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
