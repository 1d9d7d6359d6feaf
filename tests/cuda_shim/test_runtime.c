#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test_helpers.h"

#include "tests/cuda_shim/sample.h"

#define N 1000

static void *device_memory(size_t n)
{
    void *p = NULL;

    assert_int_equal(cudaMalloc(&p, n), cudaSuccess);
    return p;
}

static uint32_t *pinned_memory(size_t n_words)
{
    void *p = NULL;

    assert_int_equal(cudaHostAlloc(&p, n_words * 4, 0), cudaSuccess);
    return p;
}

static cudaStream_t new_stream(void)
{
    cudaStream_t s = NULL;

    assert_int_equal(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), cudaSuccess);
    return s;
}

static uint32_t word_at(const uint32_t *device, size_t i)
{
    uint32_t w;

    assert_int_equal(cudaMemcpy(&w, device + i, 4, cudaMemcpyDeviceToHost), cudaSuccess);
    return w;
}

static cudaError_t append(uint32_t *list, int value, cudaStream_t stream)
{
    struct sample_args args = {.out = list, .n = value};
    void *params[] = {&args};

    return cudaLaunchKernel(sample_kernel(SAMPLE_APPEND), (dim3){1, 1, 1}, (dim3){1, 1, 1}, params,
                            0, stream);
}

/* A list to which kernels append: its length, then its words. */
static uint32_t *new_list(void)
{
    uint32_t *list = device_memory(N * 4);

    assert_int_equal(cudaMemset(list, 0, N * 4), cudaSuccess);
    return list;
}

static void work_runs_when_somebody_waits_and_not_before(void **state)
{
    uint32_t *host = pinned_memory(1), *list = new_list();
    cudaStream_t s = new_stream();

    host[0] = 1;
    assert_int_equal(cudaMemcpyAsync(list, host, 4, cudaMemcpyHostToDevice, s), cudaSuccess);
    host[0] = 2; /* too early: the copy has not run */
    assert_int_equal(word_at(list, 0), 0);
    assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
    assert_int_equal(word_at(list, 0), 2);
    assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
    assert_int_equal(cudaFreeHost(host), cudaSuccess);
    assert_int_equal(cudaFree(list), cudaSuccess);
}

static void a_copy_of_pageable_memory_has_read_it_on_return(void **state)
{
    uint32_t host = 1, *list = new_list();
    cudaStream_t s = new_stream();

    assert_int_equal(append(list, 9, s), cudaSuccess);
    assert_int_equal(cudaMemcpyAsync(list + 2, &host, 4, cudaMemcpyHostToDevice, s), cudaSuccess);
    host = 5;
    assert_int_equal(word_at(list, 1), 9);
    assert_int_equal(word_at(list, 2), 1);
    assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
    assert_int_equal(cudaFree(list), cudaSuccess);
}

static void a_stream_waits_for_what_was_recorded_and_for_no_more(void **state)
{
    uint32_t *list = new_list();
    cudaStream_t a = new_stream(), b = new_stream();
    cudaEvent_t event;

    assert_int_equal(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
    assert_int_equal(append(list, 1, a), cudaSuccess);
    assert_int_equal(cudaEventRecord(event, a), cudaSuccess);
    assert_int_equal(append(list, 2, a), cudaSuccess);
    assert_int_equal(cudaStreamWaitEvent(b, event, 0), cudaSuccess);
    assert_int_equal(append(list, 3, b), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(b), cudaSuccess);
    assert_int_equal(word_at(list, 0), 2);
    assert_int_equal(word_at(list, 1), 1);
    assert_int_equal(word_at(list, 2), 3);
    assert_int_equal(cudaStreamSynchronize(a), cudaSuccess);
    assert_int_equal(word_at(list, 3), 2);
    assert_int_equal(cudaEventDestroy(event), cudaSuccess);
    assert_int_equal(cudaStreamDestroy(a), cudaSuccess);
    assert_int_equal(cudaStreamDestroy(b), cudaSuccess);
    assert_int_equal(cudaFree(list), cudaSuccess);
}

static void asking_for_an_event_lets_work_go_on(void **state)
{
    uint32_t *list = new_list();
    cudaStream_t s = new_stream();
    cudaEvent_t begin, end;
    int n_asked = 0;
    float ms = -1.0f;

    assert_int_equal(cudaEventCreate(&begin), cudaSuccess);
    assert_int_equal(cudaEventCreate(&end), cudaSuccess);
    assert_int_equal(cudaEventQuery(end), cudaSuccess); /* nothing was recorded */
    assert_int_equal(cudaEventRecord(begin, s), cudaSuccess);
    for (int i = 0; i < 3; i++)
        assert_int_equal(append(list, i, s), cudaSuccess);
    assert_int_equal(cudaEventRecord(end, s), cudaSuccess);
    assert_int_equal(cudaEventElapsedTime(&ms, begin, end), cudaErrorNotReady);
    while (cudaEventQuery(end) == cudaErrorNotReady)
        n_asked++;
    assert_int_equal(n_asked, 5);
    assert_int_equal(word_at(list, 0), 3);
    assert_int_equal(cudaEventElapsedTime(&ms, begin, end), cudaSuccess);
    assert_true(ms >= 0.0f);
    assert_int_equal(cudaEventDestroy(begin), cudaSuccess);
    assert_int_equal(cudaEventDestroy(end), cudaSuccess);
    assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
    assert_int_equal(cudaFree(list), cudaSuccess);
}

static void a_graph_repeats_its_nodes_in_order(void **state)
{
    uint32_t *list = new_list(), *host = pinned_memory(1);
    cudaStream_t s = new_stream();
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaGraphNode_t copy, node, lone;
    struct sample_args args = {.out = list, .n = 4};
    void *kernel_params[] = {&args};
    struct cudaKernelNodeParams params = {.func = (void *)(uintptr_t)sample_kernel(SAMPLE_APPEND),
                                          .gridDim = {1, 1, 1},
                                          .blockDim = {1, 1, 1},
                                          .kernelParams = kernel_params};

    assert_int_equal(cudaGraphCreate(&graph, 0), cudaSuccess);
    assert_int_equal(
        cudaGraphAddMemcpyNode1D(&copy, graph, NULL, 0, list, host, 4, cudaMemcpyHostToDevice),
        cudaSuccess);
    assert_int_equal(cudaGraphAddKernelNode(&node, graph, &copy, 1, &params), cudaSuccess);
    assert_int_equal(cudaGraphAddKernelNode(&lone, graph, &copy, 1, &params),
                     cudaErrorNotSupported);
    args.n = 5; /* the node has its own copy */
    assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
    for (uint32_t round = 0; round < 3; round++) {
        host[0] = 10 * round; /* the length that the kernel then finds */
        assert_int_equal(cudaGraphLaunch(exec, s), cudaSuccess);
        assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
        assert_int_equal(word_at(list, 0), 10 * round + 1);
        assert_int_equal(word_at(list, 10 * round + 1), 4);
    }
    assert_int_equal(cudaGraphExecDestroy(exec), cudaSuccess);
    assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
    assert_int_equal(cudaFreeHost(host), cudaSuccess);
    assert_int_equal(cudaFree(list), cudaSuccess);
}

static void a_graph_has_early_launches_after_kernels_alone(void **state)
{
    const cudaGraphEdgeData early = {.from_port = cudaGraphKernelNodePortProgrammatic,
                                     .type = cudaGraphDependencyTypeProgrammatic};
    const cudaGraphEdgeData no_port = {.type = cudaGraphDependencyTypeProgrammatic};
    struct sample_args args = {.n = 4, .kind = -1};
    void *kernel_params[] = {&args};
    struct cudaGraphNodeParams params = {
        .type = cudaGraphNodeTypeKernel,
        .kernel = {.func = (void *)(uintptr_t)sample_kernel(SAMPLE_WAIT),
                   .gridDim = {1, 1, 1},
                   .blockDim = {2, 1, 1},
                   .kernelParams = kernel_params}};
    uint32_t *list = new_list(), host = 0;
    cudaStream_t s = new_stream();
    cudaGraphNode_t copy, node, next;
    cudaGraph_t graph;
    cudaGraphExec_t exec;

    args.out = list;
    assert_int_equal(cudaGraphCreate(&graph, 0), cudaSuccess);
    assert_int_equal(
        cudaGraphAddMemcpyNode1D(&copy, graph, NULL, 0, list, &host, 4, cudaMemcpyHostToDevice),
        cudaSuccess);
    assert_int_equal(cudaGraphAddNode(&node, graph, &copy, &early, 1, &params),
                     cudaErrorInvalidValue);
    assert_int_equal(cudaGraphAddNode(&node, graph, &copy, NULL, 1, &params), cudaSuccess);
    assert_int_equal(cudaGraphAddNode(&next, graph, &node, &no_port, 1, &params),
                     cudaErrorInvalidValue);
    assert_int_equal(cudaGraphAddNode(&next, graph, &node, &early, 1, &params), cudaSuccess);
    assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    assert_int_equal(cudaGraphLaunch(exec, s), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
    assert_int_equal(word_at(list, 0), 4);
    assert_int_equal(cudaGraphExecDestroy(exec), cudaSuccess);
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
    assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
    assert_int_equal(cudaFree(list), cudaSuccess);
}

/* The signal that ends a process in which one thread of such a launch does not wait;
 * 0 for none. */
static int death_of_launch(int thread_that_does_not, bool is_early)
{
    int status;

    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sample_args args = {.out = new_list(), .kind = thread_that_does_not};
        void *params[] = {&args};
        cudaLaunchAttribute attr = {.id = cudaLaunchAttributeProgrammaticStreamSerialization,
                                    .val.programmaticStreamSerializationAllowed = is_early};
        cudaLaunchConfig_t config = {.gridDim = {1, 1, 1},
                                     .blockDim = {64, 1, 1},
                                     .stream = new_stream(),
                                     .attrs = &attr,
                                     .numAttrs = 1};
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        assert_int_equal(cudaLaunchKernelExC(&config, sample_kernel(SAMPLE_WAIT), params),
                         cudaSuccess);
        assert_int_equal(cudaStreamSynchronize(config.stream), cudaSuccess);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void an_early_launch_whose_thread_does_not_wait_ends_the_process(void **state)
{
    assert_int_equal(death_of_launch(-1, true), 0);
    assert_int_equal(death_of_launch(0, true), SIGABRT);
    assert_int_equal(death_of_launch(63, true), SIGABRT);
    assert_int_equal(death_of_launch(63, false), 0);
}

static void a_captured_stream_is_a_graph_and_runs_nothing(void **state)
{
    uint32_t *list = new_list();
    cudaStream_t s = new_stream();
    cudaGraph_t graph;
    cudaGraphExec_t exec;

    assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    assert_int_equal(append(list, 1, s), cudaSuccess);
    assert_int_equal(append(list, 2, s), cudaSuccess);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
    assert_int_equal(word_at(list, 0), 0);
    assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    assert_int_equal(cudaGraphLaunch(exec, s), cudaSuccess);
    assert_int_equal(cudaGraphLaunch(exec, s), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
    assert_int_equal(word_at(list, 0), 4);
    assert_int_equal(word_at(list, 4), 2);
    assert_int_equal(cudaGraphExecDestroy(exec), cudaSuccess);
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
    assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
    assert_int_equal(cudaFree(list), cudaSuccess);
}

static void faults_come_when_they_are_ordered(void **state)
{
    void *p, *q;
    static char host[4096];
    int n;

    setenv("MSPECKV_SHIM_FAULTS", "malloc:2,register", 1);
    assert_int_equal(cudaMalloc(&p, 16), cudaSuccess);
    assert_int_equal(cudaMalloc(&q, 16), cudaErrorMemoryAllocation);
    assert_int_equal(cudaMalloc(&q, 16), cudaErrorMemoryAllocation);
    assert_int_equal(cudaGetLastError(), cudaErrorMemoryAllocation);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
    assert_int_equal(cudaHostRegister(host, sizeof host, 0), cudaErrorMemoryAllocation);
    setenv("MSPECKV_SHIM_FAULTS", "driver", 1);
    assert_int_equal(cudaGetDeviceCount(&n), cudaErrorInsufficientDriver);
    setenv("MSPECKV_SHIM_FAULTS", "busy", 1);
    assert_int_equal(cudaSetDevice(0), cudaErrorDevicesUnavailable);
    unsetenv("MSPECKV_SHIM_FAULTS");
    assert_int_equal(cudaFree(p), cudaSuccess);
    setenv("MSPECKV_SHIM_DEVICES", "2", 1);
    assert_int_equal(cudaGetDeviceCount(&n), cudaSuccess);
    assert_int_equal(n, 2);
    unsetenv("MSPECKV_SHIM_DEVICES");
    assert_int_equal(cudaSetDevice(1), cudaErrorInvalidDevice);
}

/* Last: a GPU that is lost does not come back. */
static void a_lost_gpu_fails_every_later_call(void **state)
{
    uint32_t *list = new_list();
    cudaStream_t s = new_stream();

    setenv("MSPECKV_SHIM_FAULTS", "launch:2", 1);
    assert_int_equal(append(list, 1, s), cudaSuccess);
    assert_int_equal(append(list, 1, s), cudaErrorECCUncorrectable);
    unsetenv("MSPECKV_SHIM_FAULTS");
    assert_int_equal(cudaStreamSynchronize(s), cudaErrorECCUncorrectable);
    assert_int_equal(cudaFree(list), cudaErrorECCUncorrectable);
    assert_string_equal(cudaGetErrorString(cudaErrorECCUncorrectable),
                        "uncorrectable ECC error encountered");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_runs_when_somebody_waits_and_not_before),
        cmocka_unit_test(a_copy_of_pageable_memory_has_read_it_on_return),
        cmocka_unit_test(a_stream_waits_for_what_was_recorded_and_for_no_more),
        cmocka_unit_test(asking_for_an_event_lets_work_go_on),
        cmocka_unit_test(a_graph_repeats_its_nodes_in_order),
        cmocka_unit_test(a_graph_has_early_launches_after_kernels_alone),
        cmocka_unit_test(an_early_launch_whose_thread_does_not_wait_ends_the_process),
        cmocka_unit_test(a_captured_stream_is_a_graph_and_runs_nothing),
        cmocka_unit_test(faults_come_when_they_are_ordered),
        cmocka_unit_test(a_lost_gpu_fails_every_later_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
